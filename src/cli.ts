#!/usr/bin/env node
/** The command `rasterline`. */

import { Command } from 'commander';
import { compareCommand } from './cli/compare.ts';
import { devicesCommand } from './cli/devices.ts';
import { failed, outliveClosedPipes } from './cli/exit.ts';
import { generateCommand } from './cli/generate.ts';
import { inspectCommand } from './cli/inspect.ts';
import { planCommand } from './cli/plan.ts';
import { quantizeCommand } from './cli/quantize.ts';
import { sampleCommand } from './cli/sample.ts';
import { serveCommand } from './cli/serve.ts';
import { tuneCommand } from './cli/tune.ts';
import { workCommand } from './cli/work.ts';
import { VERSION } from './version.ts';

outliveClosedPipes();

const program = new Command('rasterline')
  .description('Draws images with autoregressive transformers on WebGPU, remembering only a few lines of them.')
  .version(VERSION, '--version')
  .option('--debug', 'print stack traces of errors')
  .showHelpAfterError('(rasterline --help shows what there is)')
  .exitOverride()
  .addHelpText(
    'after',
    `
Examples:
  $ rasterline generate --classes "watermelon,cherries" --out emoji.png
  $ rasterline generate --prompt "birthday cake" --budget 8 --seed 7
  $ rasterline generate --from out.png --budget 4 --out again.png
  $ rasterline generate --model llamagen-xl-384 --checkpoint c2i_XL_384.pt --vq vq_ds16_c2i.pt --classes 207,360
  $ rasterline plan --model llamagen-xl-384 --batch 8 --budget 4
  $ rasterline inspect c2i_XL_384.pt
  $ rasterline quantize c2i_XL_384.pt --dtype int4 --out xl-int4.safetensors
  $ rasterline devices
  $ rasterline tune --images 8
  $ rasterline serve --model emoji --port 8080
  $ rasterline sample --images 1000 --out samples.npz
  $ rasterline work --queue redis://127.0.0.1:6379

Exit codes: 0 done, 1 failed, 2 wrong options, 130 interrupted (143 by SIGTERM, 129 by SIGHUP).`,
  );
const commands = [
  generateCommand,
  compareCommand,
  inspectCommand,
  quantizeCommand,
  planCommand,
  devicesCommand,
  tuneCommand,
  sampleCommand,
  workCommand,
  serveCommand,
];
for (const command of commands.map((make) => make())) {
  program.addCommand(command.copyInheritedSettings(program));
}

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = failed(error, Boolean(program.opts().debug));
}
