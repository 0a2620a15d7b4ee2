import assert from 'node:assert/strict';
import { generate } from '../../../src/generate.ts';
import { linear } from '../../../src/kernels/linear/linear.ts';
import { qkNorm } from '../../../src/kernels/qk-norm.ts';
import type { ChameleonConfig } from '../../../src/models/chameleon/config.ts';
import { imageGrids, trainedGrids } from '../../../src/models/chameleon/size.ts';
import type { ChameleonLayers } from '../../../src/models/chameleon/weights.ts';
import type { ImageModel } from '../../../src/models/image-model.ts';
import type { TextPrompt } from '../../../src/models/text/prompt.ts';
import { Weights } from '../../../src/tensor/checkpoint/weights.ts';
import { OptionError } from '../../../src/tensor/errors.ts';
import type { Runtime } from '../../../src/tensor/runtime.ts';
import { type BareLumina, loadBareLumina, luminaConfig, splitCheckpoint } from '../../support/chameleon.ts';
import { close, relativeError } from '../../support/close.ts';
import { type Golden, openGolden } from '../../support/golden.ts';
import { compute, testRuntime } from '../../support/runtime.ts';
import { guided, stack, trace } from '../../support/trace.ts';

/** As the fixture's README states it for f32. */
const TOLERANCE = { absolute: 2e-4, relative: 1e-4 };
const GUIDED_TOLERANCE = { absolute: 1e-3, relative: 1e-4 };
const IMAGE_TOLERANCE = { absolute: 5e-4 };
const SCALE = 3;

describe('Lumina-mGPT', () => {
  let runtime: Runtime;
  let golden: Golden;
  let config: ChameleonConfig;
  let layers: ChameleonLayers;
  let model: ImageModel<TextPrompt>;
  let bare: BareLumina;
  let text: number[];
  let parts: ReturnType<typeof splitCheckpoint>;
  before(async () => {
    runtime = await testRuntime();
    golden = await openGolden('chameleon');
    config = luminaConfig();
    parts = splitCheckpoint(golden.model);
    bare = await loadBareLumina(runtime, golden.model, config);
    ({ layers, model } = bare);
    // the fixture's prompt ends with the image start and the two sizes, which are not the caller's to give
    text = Array.from(await golden.values('prompt_ids')).slice(0, -3);
  });
  after(async () => {
    bare.dispose();
    await golden.close();
  });

  /** Columns of the image tokens of golden logits [steps, vocabulary]. */
  async function imageLogits(name: string, steps: number): Promise<number[]> {
    const values = Array.from(await golden.values(name));
    const { firstCode } = config.tokens;
    const { count } = config.vq.codebook;
    return Array.from({ length: steps }, (_, step) => {
      const at = step * config.vocabulary + firstCode;
      return values.slice(at, at + count);
    }).flat();
  }

  it('feeds the reference rows: the unconditional one from the image start on, at positions of its own', async () => {
    using condition = model.condition({ promptTokens: [text] }, true);
    const full = await golden.values('prompt_ids');
    const start = await golden.values('uncond_prompt_ids');
    assert.equal(condition.promptLength, full.length);
    assert.deepEqual(condition.leftPadding, [0, full.length - start.length]);
    assert.deepEqual(condition.positionOffsets, condition.leftPadding);
    const embeddings = await compute(runtime, () => condition.embeddings());
    const table = await new Weights(parts.transformer).values('model.embed_tokens.weight', [
      config.vocabulary,
      config.width,
    ]);
    const row = (id: number) => [...table.subarray(id * config.width, (id + 1) * config.width)];
    const fed = [...Array.from(full).flatMap(row), ...Array.from(start).flatMap(row)];
    const live = [...embeddings.subarray(0, full.length * config.width)];
    live.push(...embeddings.subarray((2 * full.length - start.length) * config.width));
    assert.deepEqual(live, fed);
  });

  it('gives the reference logits, activations and normed heads for the reference tokens', async () => {
    const tokens = await golden.values('tokens');
    const steps = tokens.length - 1; // the image end is forced, and drawn by nobody

    const entries = await trace(bare, {
      prompt: { promptTokens: [text] },
      guided: true,
      choose: (_, i) => [tokens[i]!],
    });

    assert.equal(entries.length, steps);
    close(stack(entries, 'logits', [0], 2), await imageLogits('logits_cond', steps), TOLERANCE, 'conditional');
    close(stack(entries, 'logits', [1], 2), await imageLogits('logits_uncond', steps), TOLERANCE, 'unconditional');
    const mixed = entries.flatMap((entry) => [...guided(entry.logits, 0, 1, config.vq.codebook.count, SCALE)]);
    close(mixed, await imageLogits('logits_cfg', steps), GUIDED_TOLERANCE, 'guided');
    const seen = (values: ArrayLike<number>) => Array.from(values).slice(0, (text.length + 2 + steps) * config.width);
    close(stack(entries, 'attention', [0], 2), seen(await golden.values('layer0_attn_out')), TOLERANCE, 'attention');
    close(stack(entries, 'first', [0], 2), seen(await golden.values('layer0_out')), TOLERANCE, 'block 0');

    const [block] = layers.transformer.blocks;
    const { normEpsilon } = config;
    const input = stack(entries, 'input', [0], 2);
    using x = runtime.tensor([input.length / config.width, config.width], 'f32', 'x', Float32Array.from(input));
    const before = await compute(runtime, () => linear(x, block!.qkv, { normEpsilon }));
    const after = await compute(runtime, () => qkNorm(linear(x, block!.qkv, { normEpsilon }), block!.qkNorm!));
    for (const [values, when] of [
      [before, 'in'],
      [after, 'out'],
    ] as const) {
      close(heads(values, 0, config.heads), await goldenHeads(`layer0_q_norm_${when}`), TOLERANCE, `q ${when}`);
      close(
        heads(values, config.heads, config.kvHeads),
        await goldenHeads(`layer0_k_norm_${when}`),
        TOLERANCE,
        `k ${when}`,
      );
    }

    function heads(values: Float32Array, first: number, count: number): number[] {
      const width = (config.heads + 2 * config.kvHeads) * config.headDim;
      return Array.from({ length: values.length / width }, (_, row) => [
        ...values.subarray(row * width + first * config.headDim, row * width + (first + count) * config.headDim),
      ]).flat();
    }
    async function goldenHeads(name: string): Promise<number[]> {
      const [, count = 0, headDim = 0] = golden.shape(name);
      return Array.from(await golden.values(name)).slice(0, (text.length + 2 + steps) * count * headDim);
    }
  });

  it('draws the reference tokens, newlines included, and its image to the byte', async () => {
    const [image] = await generate(model, {
      prompt: { promptTokens: [text] },
      temperature: 0,
      topK: 0,
      guidanceScale: SCALE,
    });
    const expected = Array.from(await golden.values('tokens'));
    assert.deepEqual([...image!.tokens], expected.slice(0, -1));
    const { newline } = config.tokens;
    assert.ok([...image!.tokens].every((id, i) => (id === newline) === ((i + 1) % (2 * config.grids + 1) === 0)));
    const side = 2 * config.grids * model.patch;
    assert.deepEqual([image!.width, image!.height], [side, side]);
    close(image!.pixels, await golden.values('greedy_image_u8'), { absolute: 1 }, 'bytes');
  });

  it('gives nearly the same logits with weights and cache in f16', async () => {
    const tokens = await golden.values('tokens');
    const steps = tokens.length - 1;
    const half = await loadBareLumina(runtime, golden.model, config, 'f16');

    const entries = await trace(half, {
      prompt: { promptTokens: [text] },
      guided: true,
      dtype: 'f16',
      choose: (_, i) => [tokens[i]!],
    });

    half.dispose();
    // a rounding to f16 errs by 2^-11 / √3 of the value at random; independent ones of some 20 matrices, keys, values and
    // tables add as √20, taken twice for what a layer amplifies
    const most = (2 * Math.sqrt(20) * 2 ** -11) / Math.sqrt(3);
    for (const [row, name] of ['logits_cond', 'logits_uncond'].entries()) {
      const error = relativeError(stack(entries, 'logits', [row], 2), await imageLogits(name, steps));
      assert.ok(error > 0 && error < most, `${name}: ${error}`);
    }
    assert.equal(half.model.kvDtype, 'f16');
  });

  it('decodes the reference codes, square and not', async () => {
    for (const [codes, name, lines, lineLength] of [
      ['vq_codes', 'vq_image', 2 * config.grids, 2 * config.grids],
      ['vq_codes_4x6', 'vq_image_4x6', 4, 6],
    ] as const) {
      const values = Uint32Array.from(await golden.values(codes));
      using tokens = runtime.tensor([values.length], 'u32', 'codes', values);
      const image = await compute(runtime, () => model.decode(tokens, { lines, lineLength }));
      const [, channels = 0, height = 0, width = 0] = golden.shape(name);
      const expected = await golden.values(name);
      const area = height * width;
      const turned = Array.from({ length: channels * area }, (_, i) => {
        const at = (i % channels) * area + Math.floor(i / channels);
        return expected[at]!;
      });
      close(image, turned, IMAGE_TOLERANCE, name);
    }
  });

  it('draws other trained sizes, with lines of their own length, and forgets lines of them', async () => {
    const [wide] = trainedGrids(config.grids).filter(({ across, down }) => across > down);
    assert.ok(wide);
    const grid = 2 * model.patch;
    const size = { width: wide.across * grid, height: wide.down * grid };
    const prompt = { promptTokens: [text], ...size };
    const [image] = await generate(model, { prompt, seed: 3 });
    assert.deepEqual([image!.width, image!.height], [size.width, size.height]);
    assert.equal(image!.tokens.length, 2 * wide.down * (2 * wide.across + 1));
    assert.equal(image!.pixels.length, 3 * size.width * size.height);
    const tall = { promptTokens: [text], width: size.height, height: size.width };
    const cache = { budgetLines: 3 };
    const [few] = await generate(model, { prompt: tall, seed: 3, cache });
    assert.deepEqual([few!.width, few!.height], [size.height, size.width]);
  });

  it('draws each of two prompts of different length as if it were alone, with few lines too', async () => {
    const pair = [text, text.slice(0, 3)];
    for (const cache of [{}, { budgetLines: 4 }]) {
      const options = { temperature: 0, cache, guidanceScale: SCALE } as const;
      const both = await generate(model, { ...options, prompt: { promptTokens: pair } });
      for (const [b, ids] of pair.entries()) {
        const [alone] = await generate(model, { ...options, prompt: { promptTokens: [ids] } });
        assert.deepEqual(both[b]!.tokens, alone!.tokens);
      }
    }
  });

  it('knows the trained sizes, and names near ones to who asks for another', () => {
    const sizes = trainedGrids(24).map(({ across, down }) => `${32 * across}x${32 * down}`);
    for (const size of ['768x768', '1536x384', '384x1536', '1024x576', '576x1024', '864x672']) {
      assert.ok(sizes.includes(size), size);
    }
    for (const { across, down } of trainedGrids(24)) {
      assert.ok(across * down <= 576 && Math.max(across, down) <= 4 * Math.min(across, down));
    }
    assert.deepEqual(imageGrids({ width: 1024, height: 576 }, 24, 32), { across: 32, down: 18 });
    assert.throws(
      () => imageGrids({ width: 1000 }, 24, 32),
      (error) => error instanceof OptionError && /such as .*, got 1000 x 768/.test(error.message),
    );
  });

  it('refuses prompts and sizes that it cannot draw, before anything is allocated', async () => {
    const before = runtime.liveBytes;
    const refused: readonly (readonly [TextPrompt, RegExp])[] = [
      [{} as TextPrompt, /^prompt: expected \{ prompts: \[\.\.\.\] \}, got none/],
      [{ promptTokens: [] }, /with at least one text, got none/],
      [{ prompts: ['a cat'] }, /^prompts\[0\]: expected a tokenizer/],
      [{ promptTokens: [[]] }, /^prompts\[0\]: expected 1 to 32 tokens, got 0/],
      [{ promptTokens: [text, new Array<number>(33).fill(1)] }, /^prompts\[1\]: expected 1 to 32 tokens, got 33/],
      [{ promptTokens: [[1, 160]] }, /^prompts\[0\]: expected ids from 0 to 159, got 160/],
      [{ promptTokens: [[1]], width: 5 }, /^size: expected a width and height/],
    ];
    for (const [prompt, message] of refused) {
      await assert.rejects(generate(model, { prompt }), (error) => {
        assert.ok(error instanceof OptionError);
        assert.match(error.message, message);
        return true;
      });
    }
    assert.equal(runtime.liveBytes, before);
  });
});
