import { Command } from 'commander';
import { DTYPE } from '../models/load-model.ts';
import { EMBEDDED_MODEL, modelDefinition, type Prompt } from '../models/registry.ts';
import { whole } from '../tensor/checks.ts';
import { checkValue } from '../tensor/options.ts';
import type { TunedProblem } from '../tensor/race.ts';
import { tune } from '../tune.ts';
import { interruptible } from './exit.ts';
import { addModelOptions, loadedAs, type ModelFlags } from './model-options.ts';
import { namedModel } from './named-model.ts';
import { OpenedModel } from './opened-model.ts';
import { defined, number, table } from './options.ts';
import { progressBar } from './progress.ts';

interface TuneFlags extends ModelFlags {
  readonly model: string;
  readonly images: number;
  readonly promptTokens: number;
  readonly guidance?: number;
  readonly budget?: number;
  readonly json?: boolean;
}

export function tuneCommand(): Command {
  const command = new Command('tune')
    .description('measure which kernels are the fastest on this machine, once; later runs take them')
    .option('--model <name>', 'preset whose sizes are measured, or a JSON file', EMBEDDED_MODEL)
    .option('--images <count>', 'images drawn at once', number, 1)
    .option('--prompt-tokens <count>', 'tokens of a prompt, for models that draw from text', number, 16)
    .option('--budget <lines>', 'lines of the image remembered', number)
    .option('--guidance <scale>', 'classifier-free guidance; 1 or less is off', number)
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      `
Pictures do not change: a kernel that gives other bits than the first is refused.

Examples:
  $ rasterline tune
  $ rasterline tune --model llamagen-xl-384 --checkpoint c2i_XL_384.pt --vq vq_ds16_c2i.pt --images 8 --budget 6`,
    );
  return addModelOptions(command).action(run);
}

async function run(flags: TuneFlags): Promise<void> {
  const { images, promptTokens, guidance, budget, dtype, driver } = flags;
  const name = await namedModel(flags.model);
  const loaded = loadedAs(flags);
  const definition = modelDefinition(name, loaded);
  if (dtype !== undefined) checkValue('dtype', DTYPE, dtype);
  for (const [option, count] of Object.entries({ images, promptTokens })) checkValue(option, whole(1, 4096), count);
  const each = <T>(one: T) => new Array<T>(images).fill(one);
  const ids = new Array<number>(promptTokens).fill(1);
  const prompt: Prompt = definition.classes === undefined ? { promptTokens: each(ids) } : { classes: each(0) };
  const { signal, release } = interruptible();
  try {
    using opened = await OpenedModel.open({ driver, name, loaded, signal });
    opened.compiling.stop(); // tune tells its own progress
    const { model } = opened;
    const bar = progressBar('tuning');
    const options = {
      prompt,
      signal,
      ...defined({ guidanceScale: guidance }),
      ...(budget !== undefined && { cache: { budgetLines: budget } }),
      onProgress: ({ done, total, problem }: { done: number; total: number; problem: string }) =>
        bar.update(done, total, problem),
    };
    const tuned = await tune(model, options).finally(() => bar.stop());
    if (flags.json)
      return void console.log(JSON.stringify({ driver: model.runtime.description, ...tuned }, undefined, 2));
    console.log(table([['problem', 'kernel', 'ms', 'before'], ...tuned.problems.map(rowOf)]));
    for (const { refused } of tuned.problems)
      for (const reason of Object.values(refused)) console.log(`refused: ${reason}`);
    process.stderr.write(`stored in ${tuned.file}\n`);
  } finally {
    release();
  }
}

/** Milliseconds are those of the whole program that has the problem. */
function rowOf({ problem, chosen, medianMs }: TunedProblem): string[] {
  const [before = 0] = Object.values(medianMs);
  return [problem, chosen, (medianMs[chosen] ?? 0).toFixed(2), before.toFixed(2)];
}
