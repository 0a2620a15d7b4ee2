import { Command } from 'commander';
import type { Lack } from '../fit.ts';
import type { WeightDtype } from '../models/family.ts';
import { MODEL_NAMES } from '../models/registry.ts';
import { type MemoryPlan, plan } from '../plan.ts';
import type { Driver } from '../tensor/device/adapter.ts';
import { Runtime } from '../tensor/runtime.ts';
import { bytes } from './at-once.ts';
import { addCacheOptions, type CacheFlags, cacheOptions, megabytes, number, table } from './options.ts';
import { paperTable } from './paper.ts';

const PAPER_NOTE = `paper: the whole process on an A100-class GPU with PyTorch, as arXiv 2512.04857 reports it
ours: weights, keys and values, slots and activations in f16 with guidance, one prompt of 64 tokens an image`;

interface PlanFlags extends CacheFlags {
  readonly model: string;
  readonly batch: number;
  readonly guided: boolean;
  readonly dtype: WeightDtype;
  readonly all?: boolean;
  readonly paper?: boolean;
  readonly promptTokens: number;
  readonly window?: number;
  readonly speculate?: number;
  readonly json?: boolean;
  readonly fit?: boolean;
  readonly driver: Driver;
  readonly memory?: number;
}

export function planCommand(): Command {
  const command = new Command('plan')
    .description('bytes that a run needs, before anything is downloaded or loaded; no GPU is needed')
    .option('--model <name>', 'preset', 'emoji')
    .option('--batch <images>', 'images drawn at once', number, 1)
    .option('--no-guided', 'without guidance, which halves the rows')
    .option('--dtype <type>', 'storage of weights: f16, f32, int8 or int4', 'f16')
    .option('--prompt-tokens <count>', 'tokens of the longest prompt, for models that draw from text', number, 64)
    .option('--window <columns>', 'lines in parallel, each so many columns ahead of the next', number)
    .option('--speculate <tokens>', 'steps of so many tokens, all but the first of them drafts', number)
    .option('--all', 'every preset')
    .option('--paper', "the paper's memory rows beside ours, all six models")
    .option('--fit', 'against what the device here holds in one binding, and say what would fit')
    .option('--driver <name>', 'of that device: auto, gpu, lavapipe, swiftshader or null', 'auto')
    .option('--memory <size>', 'against so many bytes, such as 8GB, and say what would fit', bytes)
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ rasterline plan --model llamagen-xl-384 --batch 8 --budget 4\n  $ rasterline plan --all\n  $ rasterline plan --paper',
    );
  return addCacheOptions(command).action(async (flags: PlanFlags) => {
    if (flags.paper) return void console.log(`${await paperTable()}\n\n${PAPER_NOTE}`);
    const { batch, guided, dtype, promptTokens, memory, driver } = flags;
    const parallel = flags.window === undefined ? {} : { parallel: { window: flags.window } };
    const speculate = flags.speculate === undefined ? {} : { speculate: { tokens: flags.speculate } };
    const names = flags.all ? MODEL_NAMES : [flags.model];
    using fit = flags.fit ? await Runtime.open({ driver }) : undefined;
    const room = { ...(fit && { fit }), ...(memory !== undefined && { memoryBytes: memory }) };
    const plans = await Promise.all(
      names.map((name) =>
        plan(name, {
          batch,
          guided,
          dtype,
          promptTokens,
          cache: cacheOptions(flags),
          ...parallel,
          ...speculate,
          ...room,
        }),
      ),
    );
    if (flags.json) return void console.log(JSON.stringify(flags.all ? plans : plans[0], undefined, 2));
    const rows = await Promise.all(
      plans.map(async (one) => describe(one, await plan(one.model, { batch, guided, dtype, promptTokens }))),
    );
    console.log(
      table([
        ['model', 'lines', 'parameters', 'weights', 'KV', 'KV full', 'slots', 'activations', 'decoder', 'total'],
        ...rows,
      ]),
    );
    if (fit || memory !== undefined) for (const one of plans) console.log(`${one.model}: ${fitText(one)}`);
  });
}

/** What fits, as the flags that say it. */
function fitText({ fit: { lacks, options }, totalBytes, bindingBytes }: MemoryPlan): string {
  if (lacks.length === 0) return 'fits';
  const needs: Readonly<Record<Lack, string>> = {
    memory: `${megabytes(totalBytes)} in all`,
    binding: `${megabytes(bindingBytes)} in one binding`,
    rows: 'more rows than a dispatch has',
  };
  const needed = lacks.map((lack) => needs[lack]).join(' and ');
  if (!options) return `needs ${needed}; nothing fits`;
  const { batch, dtype, cache } = options;
  const budget = cache.budgetLines === undefined ? '' : ` --budget ${cache.budgetLines}`;
  const kvDtype = cache.kvDtype === undefined ? '' : ` --kv-dtype ${cache.kvDtype}`;
  return `needs ${needed}; fits: --batch ${batch} --dtype ${dtype}${budget}${kvDtype}`;
}

function describe(one: MemoryPlan, full: MemoryPlan): string[] {
  return [
    one.model,
    `${one.budgetLines} of ${one.lines}`,
    `${(one.parameters / 1e6).toFixed(1)} M`,
    ...[one.weightBytes, one.kvBytes, full.kvBytes, one.slotBytes, one.stepBytes, one.decodeBytes, one.totalBytes].map(
      megabytes,
    ),
  ];
}
