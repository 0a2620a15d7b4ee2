#!/usr/bin/env node
/** `npm run demo`: eight emoji with the full cache, and with two policies at 4 and at 3 of 16 lines, on one contact sheet. */

import { Command } from 'commander';
import { classIds } from '../class-names.ts';
import { tokenAgreement } from '../compare.ts';
import { loadModel } from '../models/load-model.ts';
import { encodePng } from '../png.ts';
import { whole } from '../tensor/checks.ts';
import type { Driver } from '../tensor/device/adapter.ts';
import { checkValue } from '../tensor/options.ts';
import { Runtime } from '../tensor/runtime.ts';
import { expectWritable, writeWhole } from '../tensor/source/write-node.ts';
import { failed, interruptible } from './exit.ts';
import { megabytes, number, table } from './options.ts';
import { type MeasuredRun, measuredRun } from './run.ts';
import { contactSheet } from './sheet.ts';

const EMOJI = ['grinning', 'smiley_cat', 'watermelon', 'cherries', 'rooster', 'banana', 'waffle', 'rat'];
const SETTINGS = [
  { policy: 'full', budgetLines: 16 },
  { policy: 'line-ar', budgetLines: 4 },
  { policy: 'summary', budgetLines: 4 },
  { policy: 'line-ar', budgetLines: 3 },
  { policy: 'summary', budgetLines: 3 },
] as const;

interface DemoFlags {
  readonly driver: Driver;
  readonly out: string;
  readonly seed: number;
  readonly images?: number;
  readonly debug?: boolean;
}

async function demo({ driver, out, seed, images }: DemoFlags): Promise<void> {
  if (images !== undefined) checkValue('images', whole(1, EMOJI.length), images);
  await expectWritable(out);
  const { signal, release } = interruptible();
  try {
    using runtime = await Runtime.open({ driver });
    console.log(`driver: ${runtime.description}`);
    const openedMs = performance.now();
    // SwiftShader takes minutes for all, and longer to unpack a half than to read a float
    const isSlow = runtime.kind === 'swiftshader';
    using model = await loadModel(runtime, 'emoji', { signal, dtype: isSlow ? 'f32' : 'f16' });
    const loadedMs = performance.now();
    let firstLineMs: number | undefined;
    const onLine = () => {
      firstLineMs ??= performance.now();
    };
    const names = EMOJI.slice(0, images ?? (isSlow ? 2 : EMOJI.length));
    const settings = SETTINGS.filter(({ budgetLines }) => !isSlow || images !== undefined || budgetLines !== 4);
    const classes = await classIds('emoji', names);
    console.log(`drawing ${names.join(', ')}, ${settings.length} times`);
    const runs: MeasuredRun[] = [];
    for (const cache of settings)
      runs.push(
        await measuredRun(
          model,
          { label: `${cache.policy} ${cache.budgetLines}` },
          { prompt: { classes }, seed, signal, cache: { ...cache, kvDtype: 'f16' }, onLine },
        ),
      );
    const { lines } = model.grid({ classes });
    await writeWhole(
      out,
      encodePng(contactSheet(runs.map(({ images }, i) => ({ images, keptLines: settings[i]!.budgetLines, lines })))),
    );
    const seconds = (ms = 0) => (ms / 1000).toFixed(2);
    console.log(
      `\nfirst line ${seconds(firstLineMs)} s after the start: device open at ${seconds(openedMs)} s, model loaded at ${seconds(loadedMs)} s`,
    );
    console.log(`\n${table([HEADER, ...runs.map((run, i) => row(run, settings[i]!, lines, runs[0]!))])}\n\n${out}`);
  } finally {
    release();
  }
}

const HEADER = ['cache', 'lines kept', 's/image', 'tokens/s', 'KV', 'dispatches/token', 'tokens as full'];

function row(run: MeasuredRun, cache: (typeof SETTINGS)[number], lines: number, full: MeasuredRun): string[] {
  return [
    cache.policy,
    `${cache.budgetLines} of ${lines}`,
    (run.elapsedMs / 1000 / run.images.length).toFixed(2),
    run.tokensPerSecond.toFixed(0),
    megabytes(run.kvBytes),
    run.dispatchesPerToken.toFixed(1),
    `${(100 * tokenAgreement(run.images, full.images)).toFixed(0)} %`,
  ];
}

const program = new Command('demo')
  .description('draw eight emoji with the full cache, and with line-ar and summary at 4 and 3 of 16 lines')
  .option('--driver <name>', 'auto, gpu, lavapipe or swiftshader', 'auto')
  .option('--out <file>', 'PNG to write', 'demo.png')
  .option('--seed <number>', 'the same for all rows', number, 0)
  .option('--images <count>', 'how many of the eight (default: 8; on SwiftShader 2, and nothing at 4 lines)', number)
  .option('--debug', 'print stack traces of errors')
  .addHelpText('after', '\nExample:\n  $ npm run demo -- --seed 3 --out emoji.png')
  .exitOverride();

try {
  await program.parseAsync();
  await demo(program.opts<DemoFlags>());
} catch (error) {
  process.exitCode = failed(error, Boolean(program.opts<DemoFlags>().debug));
}
