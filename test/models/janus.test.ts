import assert from 'node:assert/strict';
import { generate } from '../../src/generate.ts';
import { GpuLoader } from '../../src/models/gpu-loader.ts';
import type { JanusConfig } from '../../src/models/janus/config.ts';
import { JANUS_PRESETS } from '../../src/models/janus/config.ts';
import { Janus, janusTemplate } from '../../src/models/janus/index.ts';
import { loadJanus } from '../../src/models/janus/load.ts';
import { embed, type JanusLayers, logits } from '../../src/models/janus/model.ts';
import { JANUS_IGNORED, officialName } from '../../src/models/janus/names.ts';
import { modelPreset } from '../../src/models/load.ts';
import type { TextPrompt } from '../../src/models/prompt.ts';
import { SizeLoader } from '../../src/models/size-loader.ts';
import { textCondition } from '../../src/models/text-condition.ts';
import { decode } from '../../src/models/vq/decoder.ts';
import { FormatError, OptionError } from '../../src/tensor/errors.ts';
import type { Runtime } from '../../src/tensor/runtime.ts';
import { Weights } from '../../src/tensor/weights.ts';
import { close } from '../support/close.ts';
import { type Golden, openGolden } from '../support/golden.ts';
import { janusConfig } from '../support/janus.ts';
import { janusTensors } from '../support/janus-tensors.ts';
import { compute, testRuntime } from '../support/runtime.ts';
import { type Bare, greedy, guided, stack, trace } from '../support/trace.ts';

/** As the fixture's README states it for f32. */
const TOLERANCE = { absolute: 2e-4, relative: 1e-4 };
const GUIDED_TOLERANCE = { absolute: 2e-3, relative: 1e-4 };
const IMAGE_TOLERANCE = { absolute: 5e-4 };
const SCALE = 5;

describe('Janus-Pro', () => {
  let runtime: Runtime;
  let golden: Golden;
  let config: JanusConfig;
  let loader: GpuLoader;
  let layers: JanusLayers;
  let bare: Bare<TextPrompt>;
  let model: Janus;
  let ids: number[];
  /** Images of the fixture, and where its interleaved rows stand among ours. */
  let images: number;
  let rows: number[];
  before(async () => {
    runtime = await testRuntime();
    golden = await openGolden('janus');
    config = janusConfig();
    loader = new GpuLoader(runtime, new Weights(golden.model, JANUS_IGNORED), 'f32');
    layers = await loadJanus(loader, config);
    loader.weights.finish();
    model = await Janus.load(runtime, golden.model, { name: 'tiny', config, dtype: 'f32' });
    const { heads, kvHeads, headDim } = config;
    bare = {
      runtime,
      grid: model.grid({ promptTokens: [] }),
      geometry: { layers: config.layers, heads, kvHeads, headDim },
      transformer: layers.transformer,
      condition: (prompt, isGuided) => model.condition(prompt, isGuided),
      embed: (tokens, count) => embed(layers, tokens, count),
      logits: (x, tokens) => logits(layers, x, tokens),
      dispose: () => loader.dispose(),
    };
    ids = Array.from(await golden.values('prompt_ids'));
    images = golden.shape('token_rows')[0]! / 2;
    rows = Array.from({ length: 2 * images }, (_, row) => (row % 2) * images + Math.floor(row / 2));
  });
  after(async () => {
    loader.dispose();
    model.dispose();
    await golden.close();
  });

  const prompts = (): TextPrompt => ({ promptTokens: Array.from({ length: images }, () => ids) });

  it('feeds the reference rows: with the padding of the unconditional one attended to', async () => {
    const { promptTokens } = prompts() as { promptTokens: number[][] };
    const padded = promptTokens.map((row) =>
      row.map((id, i) => (i === 0 || i === row.length - 1 ? id : config.padToken!)),
    );
    const expected = Array.from(await golden.values('token_rows'));
    const ours = [...promptTokens, ...padded];
    assert.deepEqual(
      rows.flatMap((row) => ours[row]!),
      expected,
    );

    using condition = model.condition(prompts(), true);
    const embeddings = await compute(runtime, () => condition.embeddings());
    const width = ids.length * config.width;
    const ordered = rows.flatMap((row) => [...embeddings.subarray(row * width, (row + 1) * width)]);
    close(ordered, await golden.values('prompt_embeds'), { absolute: 0 }, 'embeddings');
    assert.deepEqual(condition.starts, new Array(2 * images).fill(0));
  });

  it('gives the reference logits and activations for given tokens, in both branches', async () => {
    const forced = await golden.values('tf_tokens');
    const count = config.side ** 2;
    const choose = (_: Float32Array, i: number) => Array.from({ length: images }, (_, b) => forced[b * count + i]!);

    const entries = await trace(bare, { prompt: prompts(), guided: true, choose });

    const all = 2 * images;
    close(stack(entries, 'logits', rows, all), await golden.values('tf_logits'), TOLERANCE, 'logits');
    close(stack(entries, 'attention', rows, all), await golden.values('tf_layer0_attn_out'), TOLERANCE, 'attention');
    close(stack(entries, 'first', rows, all), await golden.values('tf_layer0_out'), TOLERANCE, 'block 0');
    close(stack(entries.slice(1), 'input', rows, all), await golden.values('tf_image_embeds'), TOLERANCE, 'inputs');
    const gain = await new Weights(golden.model, []).values('language_model.model.norm.weight', [config.width]);
    const hidden = normalised(stack(entries, 'last', rows, all), gain, config.normEpsilon);
    close(hidden, await golden.values('tf_last_hidden'), TOLERANCE, 'last hidden state');
  });

  it('draws the reference tokens greedily, and their logits', async () => {
    const entries = await trace(bare, {
      prompt: prompts(),
      guided: true,
      choose: (values) => greedy(values, images, SCALE),
    });
    const tokens = Array.from({ length: images }, (_, b) =>
      entries.map(({ logits: values }) => greedy(values, images, SCALE)[b]!),
    ).flat();
    assert.deepEqual(tokens, Array.from(await golden.values('greedy_tokens')));
    const all = 2 * images;
    close(stack(entries, 'logits', rows, all), await golden.values('greedy_logits_rows'), TOLERANCE, 'rows');
    const combined = Array.from({ length: images }, (_, b) =>
      entries.flatMap(({ logits: values }) => [...guided(values, b, images, config.vq.codebook.count, SCALE)]),
    ).flat();
    close(combined, await golden.values('greedy_logits'), GUIDED_TOLERANCE, 'guided logits');
  });

  it('draws the reference image through the corridor, and the same tokens when the budget holds every line', async () => {
    const options = { prompt: prompts(), temperature: 0 };
    const [image] = await generate(model, options);
    assert.deepEqual(
      [...image!.tokens],
      Array.from(await golden.values('greedy_tokens')).slice(0, image!.tokens.length),
    );
    const expected = await channelsLast('greedy_image', 0);
    // truncated to a byte as the reference does: within one of the bytes of its floats
    const bytes = expected.map((x) => Math.floor((Math.min(1, Math.max(-1, x)) + 1) * 127.5));
    close(image!.pixels, bytes, { absolute: 1 }, 'bytes');
    const [same] = await generate(model, { ...options, cache: { budgetLines: config.side } });
    assert.deepEqual(same!.tokens, image!.tokens);
    const [fewer] = await generate(model, { ...options, cache: { budgetLines: 3 } });
    assert.equal(fewer!.tokens.length, image!.tokens.length);
  });

  it('decodes the reference codes', async () => {
    const codes = await golden.values('vq_codes');
    const places = config.side ** 2;
    using tokens = runtime.tensor(
      [places],
      'u32',
      'codes',
      Uint32Array.from({ length: places }, (_, i) => codes[i]!),
    );
    const grid = { lines: config.side, lineLength: config.side };
    const image = await compute(runtime, () => decode(layers.vq, tokens, grid));
    close(image, await channelsLast('vq_image', 0), IMAGE_TOLERANCE, 'image');
  });

  it('draws each of two prompts of different length as if it were alone', async () => {
    const pair = [ids, [ids[0]!, 5, ids.at(-1)!]];
    const options = { temperature: 0, cache: { budgetLines: 4 } } as const;
    const both = await generate(model, { ...options, prompt: { promptTokens: pair } });
    for (const [b, promptTokens] of pair.entries()) {
      const [alone] = await generate(model, { ...options, prompt: { promptTokens: [promptTokens] } });
      assert.deepEqual(both[b]!.tokens, alone!.tokens);
    }
  });

  it('reads the names of the transformers conversion as the official ones', async () => {
    const names = [...golden.model.tensors.keys()];
    assert.deepEqual(names.map(converted).map(officialName), names);
    const tensors = new Map([...golden.model.tensors].map(([name, tensor]) => [converted(name), tensor] as const));
    using other = await Janus.load(runtime, { ...golden.model, tensors }, { name: 'tiny', config, dtype: 'f32' });
    const options = { prompt: prompts(), temperature: 0 };
    assert.deepEqual((await generate(other, options))[0]!.tokens, (await generate(model, options))[0]!.tokens);
  });

  it('takes every tensor of the released checkpoints and skips by name what drawing does not need', async () => {
    for (const name of Object.keys(JANUS_PRESETS)) {
      const preset = modelPreset(name);
      const sizes = new SizeLoader('f16');
      await preset.take('checkpoint', sizes);
      assert.deepEqual(Object.fromEntries(sizes.shapes), Object.fromEntries(janusTensors(name)));
    }
    for (const skipped of ['vision_model.vision_tower.pos_embed', 'aligner.layers.0.weight', 'lm_head.weight']) {
      assert.ok(
        JANUS_IGNORED.some((pattern) => pattern.test(officialName(skipped))),
        skipped,
      );
    }
    const stranger = { ...golden.model.tensors.get('gen_embed.weight')!, name: 'gen_extra.weight' };
    const tensors = new Map([...golden.model.tensors, ['gen_extra.weight', stranger]]);
    await assert.rejects(
      Janus.load(runtime, { ...golden.model, tensors }, { name: 'tiny', config }),
      (error) => error instanceof FormatError && /gen_extra\.weight/.test(error.message),
    );
  });

  it('refuses prompts and sizes that it cannot draw, by name', async () => {
    const refused: readonly (readonly [TextPrompt, RegExp])[] = [
      [{ promptTokens: [] }, /^prompt: expected/],
      [{ promptTokens: [[]] }, /^prompts\[0\]: expected 1 to 64 tokens, got 0/],
      [{ promptTokens: [new Array(65).fill(1)] }, /^prompts\[0\]: expected 1 to 64 tokens, got 65/],
      [{ promptTokens: [[1, 120]] }, /^prompts\[0\]: expected ids from 0 to 119, got 120/],
      [{ prompts: ['  '] }, /^prompts\[0\]: expected a text that is not empty/],
      [{ prompts: ['a cat'] }, /^prompts\[0\]: expected a tokenizer/],
      [{ promptTokens: [[1, 2]], width: 512 }, /^size: expected 12 x 12/],
    ];
    const before = runtime.liveBytes;
    for (const [prompt, message] of refused) {
      await assert.rejects(generate(model, { prompt }), (error) => {
        assert.ok(error instanceof OptionError);
        assert.match(error.message, message);
        return true;
      });
    }
    assert.equal(runtime.liveBytes, before);
    assert.equal(janusTemplate(' a cat '), '<|User|>: a cat\n\n<|Assistant|>:<begin_of_image>');
  });

  it('gives nearly the same logits with weights and cache in f16', async () => {
    const half = new GpuLoader(runtime, new Weights(golden.model, JANUS_IGNORED), 'f16');
    const narrow = await loadJanus(half, config);
    const forward = async (from: JanusLayers) => {
      using condition = textCondition(runtime, from.text, 1, [ids]);
      return await compute(runtime, () => condition.embeddings());
    };
    // one rounding of a value below 4 in f16
    close(await forward(narrow), await forward(layers), { absolute: 4 * 2 ** -11 }, 'embeddings');
    half.dispose();
    using other = await Janus.load(runtime, golden.model, { name: 'tiny', config, dtype: 'f16' });
    assert.equal(other.kvDtype, 'f16');
    const [image] = await generate(other, { prompt: prompts(), temperature: 0 });
    const [exact] = await generate(model, { prompt: prompts(), temperature: 0 });
    assert.equal(image!.tokens[0], exact!.tokens[0]);
  });

  /** Image `index` of a golden tensor [B, C, Y, X], as [Y, X, C]. */
  async function channelsLast(name: string, index: number): Promise<Float32Array> {
    const [, channels = 0, height = 0, width = 0] = golden.shape(name);
    const values = await golden.values(name);
    const area = height * width;
    return Float32Array.from(
      { length: channels * area },
      (_, i) => values[(index * channels + (i % channels)) * area + Math.floor(i / channels)]!,
    );
  }
});

/** Rows of the gain's width, each over the root of its mean square, times the gain. */
function normalised(values: Float32Array, gain: Float32Array, epsilon: number): Float32Array {
  const width = gain.length;
  return values.map((x, i) => {
    const row = values.subarray(i - (i % width), i - (i % width) + width);
    const meanSquare = row.reduce((sum, v) => sum + v * v, 0) / width;
    return (x / Math.sqrt(meanSquare + epsilon)) * gain[i % width]!;
  });
}

/** The conversion's name of an official tensor, written from the state dict of a tiny JanusForConditionalGeneration. */
function converted(name: string): string {
  const [head = '', ...rest] = name.split('.');
  const tail = rest.join('.');
  if (head === 'language_model') return tail.startsWith('model.') ? `model.language_model.${tail.slice(6)}` : tail;
  if (head === 'gen_embed') return `model.generation_embeddings.${tail}`;
  if (head === 'gen_aligner')
    return `model.generation_aligner.${tail.replace('layers.0', 'fc1').replace('layers.2', 'hidden_layers.0')}`;
  if (head === 'gen_head') return `model.generation_head.${tail.replace('output_mlp_projector', 'proj_out')}`;
  const vq = tail
    .replace('mid.0.', 'mid.block_1.')
    .replace('mid.1.', 'mid.attn_1.')
    .replace('mid.2.', 'mid.block_2.')
    .replace(/conv_blocks\.(\d+)\.res\./, 'up.$1.block.')
    .replace('conv_blocks.', 'up.');
  return `model.vqmodel.${vq}`;
}
