import { Command } from 'commander';
import type { PolicyName } from '../cache/policies/index.ts';
import { type KvDtype, planCache } from '../cache/policy.ts';
import { classIds } from '../class-names.ts';
import { type CompareSetting, compare } from '../compare.ts';
import { TOKENS } from '../generate-options.ts';
import { EMBEDDED_MODEL, EMBEDDED_TEXT_MODEL, modelDefinition, type Prompt } from '../models/registry.ts';
import { promptOf } from '../prompt-list.ts';
import { expectGiven, type GivenTokens, resolveSampling } from '../sampler.ts';
import type { Driver } from '../tensor/device/adapter.ts';
import { OptionError } from '../tensor/errors.ts';
import { checkValue } from '../tensor/options.ts';
import { parseJson } from '../tensor/source/json.ts';
import { asJson, asTable, type OutputFlags, openOutputs } from './compare-outputs.ts';
import { interruptible } from './exit.ts';
import { OpenedModel } from './opened-model.ts';
import { commaSeparated, defined, number, table } from './options.ts';
import { progressBar } from './progress.ts';
import { readWhole } from './read-whole.ts';
import { openRetention, type RetentionFlags, retentionHistory } from './retention-files.ts';

interface CompareFlags extends OutputFlags, RetentionFlags {
  readonly model?: string;
  readonly classes?: string;
  readonly prompt?: readonly string[];
  readonly checkpoint?: string;
  readonly vq?: string;
  readonly policies: string;
  readonly budgets: string;
  readonly windows?: string;
  readonly kvDtypes?: string;
  readonly guidance?: number;
  readonly temperature?: number;
  readonly driver: Driver;
  readonly tokens?: string;
  readonly json?: boolean;
}

export function compareCommand(): Command {
  return new Command('compare')
    .description('what policies at budgets do to a model, against its own full cache')
    .option('--classes <list>', 'classes by number, or for the emoji model by name, separated by commas')
    .option('--prompt <text...>', 'what to draw, for models that draw from text')
    .option('--model <name>', 'preset (default: emoji, or emoji-text with --prompt)')
    .option('--checkpoint <file>', 'checkpoint of the transformer: path, folder, URL or hf:owner/name@revision')
    .option('--vq <file>', 'checkpoint of the VQ tokenizer')
    .option('--policies <list>', 'policies, separated by commas', 'line-ar,summary')
    .option('--budgets <list>', 'lines remembered, separated by commas', '3,4,8')
    .option(
      '--windows <list>',
      'lines in parallel, columns that a line is ahead, separated by commas (default: none are)',
    )
    .option('--kv-dtypes <list>', "storage of keys and values, separated by commas (default: the model's)")
    .option('--guidance <scale>', 'classifier-free guidance; 1 or less is off', number)
    .option('--temperature <number>', "at which predictions are compared (default: the model's)", number)
    .option('--driver <name>', 'auto, gpu, lavapipe or swiftshader', 'auto')
    .option('--chart <file>', 'SVG of divergence over bytes, a curve a policy; needs the packages vega and vega-lite')
    .option(
      '--retention <file>',
      'PNG of which tokens of the first image each head, layer, and all still hold, a file a setting',
    )
    .option('--animation <file>', 'the same as a GIF, a frame a line; needs the package modern-gif')
    .option('--json', 'as JSON, with the divergence of every line')
    .option('--tokens <file>', 'JSON of tokens to feed, a list an image (default: what the full cache finds likeliest)')
    .option('--csv <file>', 'the table as CSV, with all digits')
    .option('--sheet <file>', 'PNG of what each setting draws by itself, a row each')
    .addHelpText(
      'after',
      '\nExample:\n  $ rasterline compare --classes pizza,tiger --policies line-ar,summary --budgets 3,4 --sheet sheet.png',
    )
    .action(run);
}

async function run(flags: CompareFlags): Promise<void> {
  const { driver, guidance, temperature, checkpoint, vq } = flags;
  const name = flags.model ?? (flags.prompt ? EMBEDDED_TEXT_MODEL : EMBEDDED_MODEL);
  if ((flags.classes === undefined) === (flags.prompt === undefined))
    throw new OptionError('classes: expected either --classes <list> or --prompt <text...>');
  const windows =
    flags.windows === undefined
      ? [{}]
      : commaSeparated(flags.windows).map((columns) => ({ parallel: { window: number(columns) } }));
  const kvDtypes =
    flags.kvDtypes === undefined
      ? [{}]
      : commaSeparated(flags.kvDtypes).map((kvDtype) => ({ kvDtype: kvDtype as KvDtype }));
  const settings: readonly CompareSetting[] = commaSeparated(flags.budgets).flatMap((budget) =>
    commaSeparated(flags.policies).flatMap((policy) =>
      kvDtypes.flatMap((stored) =>
        windows.map((parallel) => ({
          policy: policy as PolicyName,
          budgetLines: number(budget),
          ...stored,
          ...parallel,
        })),
      ),
    ),
  );
  const prompt: Prompt = flags.prompt
    ? { prompts: flags.prompt }
    : { classes: await classIds(name, commaSeparated(flags.classes ?? '')) };
  // everything that can be wrong with the options is said before a device is opened or a byte is loaded
  const { grid, imageTokens } = modelDefinition(name);
  for (const { parallel, ...cache } of settings) planCache(cache, grid, { parallel });
  const sampling = defined({ guidanceScale: guidance, temperature });
  resolveSampling(sampling, {});
  const tokens = flags.tokens === undefined ? [] : await readTokens(flags.tokens);
  expectGiven(tokens, { ...grid, ...imageTokens });
  const write = await openOutputs(flags);
  const writeRetention = await openRetention(flags, settings, grid.lines);

  const { signal, release } = interruptible();
  try {
    using opened = await OpenedModel.open({ driver, name, loaded: defined({ checkpoint, vq }), signal });
    opened.compiling.stop(); // its bar would run into that of the comparison
    const { model } = opened;
    const bar = progressBar('comparing');
    const onProgress = (done: number, total: number) => bar.update(done, total);
    const comparisons = await compare(model, { prompt, settings, tokens, signal, onProgress, ...sampling }).finally(
      () => bar.stop(),
    );
    const measured = { ...comparisons, lines: grid.lines };
    await write(measured);
    if (writeRetention) {
      const first = promptOf(prompt, [0]);
      for (const [i, { parallel, ...cache }] of settings.entries()) {
        const history = await retentionHistory(model, {
          ...sampling,
          prompt: first,
          cache,
          ...defined({ parallel }),
          temperature: 0,
          signal,
        });
        await writeRetention(i, history);
      }
    }
    console.log(flags.json ? asJson(measured) : table(asTable(measured)));
  } finally {
    release();
  }
}

/** Lists of token ids, one an image. Throws FormatError, or OptionError for other JSON. */
async function readTokens(file: string): Promise<readonly GivenTokens[]> {
  return checkValue('tokens', TOKENS, parseJson(file, await readWhole(file, 'tokensBytes')));
}
