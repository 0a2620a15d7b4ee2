import assert from 'node:assert/strict';
import { generate } from '../../../src/generate.ts';
import type { ImageModel } from '../../../src/models/image-model.ts';
import type { JanusConfig } from '../../../src/models/janus/config.ts';
import { janus } from '../../../src/models/janus/family.ts';
import { JANUS_IGNORED } from '../../../src/models/janus/names.ts';
import { janusTemplate } from '../../../src/models/janus/tokens.ts';
import { decode } from '../../../src/models/parts/vq/decoder.ts';
import { modelDefinition } from '../../../src/models/registry.ts';
import type { TextPrompt } from '../../../src/models/text/prompt.ts';
import { storedShapes } from '../../../src/models/weights/stored-shapes.ts';
import { Weights } from '../../../src/tensor/checkpoint/weights.ts';
import { FormatError, OptionError } from '../../../src/tensor/errors.ts';
import type { Runtime } from '../../../src/tensor/runtime.ts';
import { close, relativeError } from '../../support/close.ts';
import { type Golden, openGolden } from '../../support/golden.ts';
import { type BareJanus, janusConfig, loadBareJanus, openJanus } from '../../support/janus.ts';
import { janusSkipped } from '../../support/janus-skipped.ts';
import { janusTensors } from '../../support/janus-tensors.ts';
import { compute, testRuntime } from '../../support/runtime.ts';
import { greedy, guided, stack, trace } from '../../support/trace.ts';

/** As the fixture's README states it for f32. */
const TOLERANCE = { absolute: 2e-4, relative: 1e-4 };
const GUIDED_TOLERANCE = { absolute: 2e-3, relative: 1e-4 };
const IMAGE_TOLERANCE = { absolute: 5e-4 };
const SCALE = 5;

describe('Janus-Pro', () => {
  let runtime: Runtime;
  let golden: Golden;
  let config: JanusConfig;
  let bare: BareJanus;
  let model: ImageModel<TextPrompt>;
  let ids: number[];
  /** Images of the fixture, and where its interleaved rows stand among ours. */
  let images: number;
  let rows: number[];
  before(async () => {
    runtime = await testRuntime();
    golden = await openGolden('janus');
    config = janusConfig();
    bare = await loadBareJanus(runtime, golden.model, config);
    model = bare.model;
    ids = Array.from(await golden.values('prompt_ids'));
    images = golden.shape('token_rows')[0]! / 2;
    rows = Array.from({ length: 2 * images }, (_, row) => (row % 2) * images + Math.floor(row / 2));
  });
  after(async () => {
    bare.dispose();
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
    assert.deepEqual(condition.leftPadding, new Array(2 * images).fill(0));
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
    const gain = await new Weights(golden.model).values('language_model.model.norm.weight', [config.width]);
    const hidden = normalized(stack(entries, 'last', rows, all), gain, config.normEpsilon);
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
    const image = await compute(runtime, () => decode(bare.layers.vq, tokens, grid));
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

  it('takes every tensor of the released checkpoints that drawing needs, and skips every other by its name', async () => {
    for (const name of Object.keys(janus.presets)) {
      const shapes = storedShapes(modelDefinition(name).parts.checkpoint?.weights);
      assert.deepEqual(Object.fromEntries(shapes), Object.fromEntries(janusTensors(name)));
      const isSkipped = (tensor: string) => JANUS_IGNORED.some((pattern) => pattern.test(tensor));
      assert.deepEqual([...janusTensors(name).keys()].filter(isSkipped), []);
      assert.deepEqual(
        [...janusSkipped(name).keys()].filter((tensor) => !isSkipped(tensor)),
        [],
      );
    }
  });

  it('refuses checkpoints with a tensor it does not know, or of another model, and keeps no memory', async () => {
    const stranger = { ...golden.model.tensors.get('gen_embed.weight')!, name: 'gen_extra.weight' };
    const tensors = new Map([...golden.model.tensors, ['gen_extra.weight', stranger]]);
    const other = await openGolden('llamagen-c2i');
    const refused = [
      [{ ...golden.model, tensors }, /expected no other tensors, got gen_extra\.weight/],
      [other.model, /expected a tensor language_model\.model\.embed_tokens\.weight .*is it a checkpoint of this model/],
    ] as const;
    const before = runtime.liveBytes;
    for (const [checkpoint, text] of refused) {
      await assert.rejects(
        openJanus(runtime, checkpoint, { config }),
        (error) => error instanceof FormatError && text.test(error.message),
      );
    }
    assert.equal(runtime.liveBytes, before);
    await other.close();
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
    const forced = await golden.values('tf_tokens');
    const choose = (_: Float32Array, i: number) =>
      Array.from({ length: images }, (_, b) => forced[b * config.side ** 2 + i]!);
    const half = await loadBareJanus(runtime, golden.model, config, 'f16');
    const entries = await trace(half, { prompt: prompts(), guided: true, dtype: 'f16', choose });
    half.dispose();

    const all = 2 * images;
    // a rounding to f16 errs by 2^-11 / √3 of the value at random; independent ones of some 20 matrices, keys, values and
    // tables add as √20, taken twice for what a layer amplifies
    const error = relativeError(stack(entries, 'logits', rows, all), await golden.values('tf_logits'));
    assert.ok(error < (2 * Math.sqrt(20) * 2 ** -11) / Math.sqrt(3), `${error}`);
    assert.ok(error > 0);
    assert.equal(half.model.kvDtype, 'f16');
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
function normalized(values: Float32Array, gain: Float32Array, epsilon: number): Float32Array {
  const width = gain.length;
  return values.map((x, i) => {
    const row = values.subarray(i - (i % width), i - (i % width) + width);
    const meanSquare = row.reduce((sum, v) => sum + v * v, 0) / width;
    return (x / Math.sqrt(meanSquare + epsilon)) * gain[i % width]!;
  });
}
