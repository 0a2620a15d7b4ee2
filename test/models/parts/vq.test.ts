import assert from 'node:assert/strict';
import fc from 'fast-check';
import { toBytes } from '../../../src/image.ts';
import { asImage, whole } from '../../../src/kernels/bands.ts';
import { conv } from '../../../src/kernels/conv/conv.ts';
import { embedding } from '../../../src/kernels/embedding.ts';
import type { MatrixDtype } from '../../../src/kernels/linear/weight.ts';
import { VQ_IGNORED, VQ_PRESETS, type VqConfig, vqPreset } from '../../../src/models/parts/vq/config.ts';
import { attentionBlock, codes, decode, resnetBlock, type VqDecoder } from '../../../src/models/parts/vq/decoder.ts';
import { decoderBytes } from '../../../src/models/parts/vq/decoder-bytes.ts';
import { vqWeights } from '../../../src/models/parts/vq/weights.ts';
import { type LoadedWeights, loadWeights, normalizeRows } from '../../../src/models/weights/load-weights.ts';
import { expectFit } from '../../../src/models/weights/stored-shapes.ts';
import type { Checkpoint } from '../../../src/tensor/checkpoint/checkpoint.ts';
import { FormatError, OptionError, ShapeError } from '../../../src/tensor/errors.ts';
import type { Runtime } from '../../../src/tensor/runtime.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';
import { close } from '../../support/close.ts';
import { type Golden, openGolden } from '../../support/golden.ts';
import { compute, testRuntime } from '../../support/runtime.ts';

const CONFIG: VqConfig = {
  codebook: { count: 256, width: 8, normalized: true },
  zChannels: 32,
  baseChannels: 32,
  multipliers: [2, 1],
  residualBlocks: 1,
};
const GRID = { lines: 8, lineLength: 8 };
const PLACES = GRID.lines * GRID.lineLength;

describe('VQ decoder', () => {
  let runtime: Runtime;
  let golden: Golden;
  let loaded: LoadedWeights<ReturnType<typeof vqWeights>>;
  let decoder: VqDecoder;
  before(async () => {
    runtime = await testRuntime();
    golden = await openGolden('llamagen-vq');
    loaded = await load(golden.model, CONFIG, 'f32');
    decoder = loaded.layers;
  });
  after(async () => {
    loaded.dispose();
    await golden.close();
  });

  const load = async (checkpoint: Checkpoint, config: VqConfig, dtype: MatrixDtype) =>
    await loadWeights(runtime, vqWeights(config), { checkpoint, dtype });

  /** Image `index` of a golden tensor [B, C, Y, X], as [Y, X, C]. */
  async function channelsLast(name: string, index: number): Promise<Float32Array> {
    const [, channels = 0, rows = 0, columns = 0] = golden.shape(name);
    const values = await golden.values(name);
    const area = rows * columns;
    return Float32Array.from({ length: channels * area }, (_, i) => {
      const place = (index * channels + (i % channels)) * area + Math.floor(i / channels);
      return values[place]!;
    });
  }

  async function tokens(index: number): Promise<Tensor> {
    const all = await golden.values('codes');
    const own = Uint32Array.from({ length: PLACES }, (_, i) => all[index * PLACES + i]!);
    return runtime.tensor([PLACES], 'u32', 'tokens', own);
  }

  /** What the stage gives for each of the two golden images is within `absolute` of its tap. */
  async function expectTap(name: string, absolute: number, stage: (ids: Tensor) => Tensor): Promise<void> {
    for (const index of [0, 1]) {
      using ids = await tokens(index);
      const y = await compute(runtime, () => stage(ids));
      close(y, await channelsLast(name, index), { absolute }, `${name} of image ${index}`);
    }
  }

  const start = (ids: Tensor) => conv(asImage(codes(decoder, ids, GRID)), decoder.convIn);

  it('takes every tensor of the reference but those of the encoder', () => {
    expectFit(vqWeights(CONFIG), golden.model, VQ_IGNORED);
  });

  it('looks up code vectors of length 1', () =>
    expectTap('codebook_out', 2 ** -22, (ids) => embedding(ids, decoder.codebook)));

  it("equals the reference after the decoder's first convolution", () =>
    expectTap('dec_conv_in_out', 5e-5, (ids) => whole(start(ids))));

  it('equals the reference after the first residual block', () =>
    expectTap('dec_mid_res0_out', 1e-4, (ids) => whole(resnetBlock(decoder.mid[0], start(ids)))));

  it('equals the reference after the first attention block', () =>
    expectTap('dec_mid_attn_out', 1e-4, (ids) =>
      whole(attentionBlock(decoder.mid[1], resnetBlock(decoder.mid[0], start(ids)))),
    ));

  // 5e-4: the fixture's own tolerance
  it('draws the image of the reference', () => expectTap('image', 5e-4, (ids) => decode(decoder, ids, GRID)));

  it('draws the same bits in bands of any rows', async () => {
    using ids = await tokens(0);
    const rowBytes = 4 * 16 * 64; // of the last level, where it is widest
    const unbanded = await compute(runtime, () => decode(decoder, ids, GRID));
    for (const rows of [3, 5, 9, 15]) {
      using program = await runtime.record('bands', () => decode(decoder, ids, GRID, { bandBytes: rows * rowBytes }));

      program.run();

      assert.deepEqual(await program.result.read(), unbanded, `${rows - 2} rows of 16`);
      const { bytes: planned } = decoderBytes(CONFIG, { lines: 8, columns: 8 }, rows * rowBytes);
      // the numbers of a dispatch, of 20 to 48 bytes each, are not planned
      const unplanned = program.scratchBytes + 4 * PLACES - planned;
      assert.ok(unplanned >= 0 && unplanned <= 48 * program.dispatches, `${unplanned} bytes of ${planned}`);
    }
  });

  it('draws bytes within 1 of those of the reference', async () => {
    const expected = await golden.values('image_u8_round');
    for (const index of [0, 1]) {
      using ids = await tokens(index);

      const bytes = toBytes(await compute(runtime, () => decode(decoder, ids, GRID)));

      close(
        bytes,
        Array.from(bytes, (_, i) => expected[index * bytes.length + i]!),
        { absolute: 1 },
        `bytes of image ${index}`,
      );
    }
  });

  it('draws nearly the same image from weights in f16', async () => {
    const { layers: half, dispose } = await load(golden.model, CONFIG, 'f16');

    // Each weight is off by up to 2^-11 of itself, in 18 layers one after another; the errors add like independent ones,
    // √18 · 2^-11 = 2e-3 of values of about 1 to 2, and the worst of 1,536 pixels is four times the usual.
    await expectTap('image', 1.6e-2, (ids) => decode(half, ids, GRID));

    dispose();
  });

  it('gives back all memory of weights and scratch', async () => {
    const before = runtime.liveBytes;
    const { layers: half, dispose } = await load(golden.model, CONFIG, 'f16');
    using ids = await tokens(0);
    (await runtime.record('decode', () => decode(half, ids, GRID))).dispose();
    ids.dispose();

    dispose();

    assert.equal(runtime.liveBytes, before);
  });

  it('refuses tokens that do not fill the grid', async () => {
    using ids = await tokens(0);

    const recording = runtime.record('test', () => decode(decoder, ids, { lines: 8, lineLength: 9 }));

    await assert.rejects(recording, ShapeError);
  });

  it('names the tensor that a checkpoint lacks, and both shapes of one that does not fit', async () => {
    const without = (name: string): Checkpoint => ({
      ...golden.model,
      tensors: new Map([...golden.model.tensors].filter(([own]) => own !== name)),
    });

    await assert.rejects(load(without('decoder.conv_out.bias'), CONFIG, 'f32'), namesAll('decoder.conv_out.bias'));
    await assert.rejects(
      load(golden.model, { ...CONFIG, zChannels: 64 }, 'f32'),
      namesAll('post_quant_conv.bias', '[64]', '[32]'),
    );
  });

  it('brings rows of any length to 1, and leaves a row of zeros as it is', () => {
    const rows = fc.array(fc.float({ noNaN: true, min: -1e6, max: 1e6 }), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(rows, (row) => {
        const length = Math.hypot(...normalizeRows(Float32Array.from(row), 8));

        assert.ok(Math.hypot(...row) < 1e-11 || Math.abs(length - 1) < 1e-6);
      }),
    );
    assert.deepEqual(normalizeRows(new Float32Array(8), 8), new Float32Array(8));
  });

  it('knows its presets by name, and names them to who asks for another', () => {
    assert.equal(vqPreset('vq-ds16').multipliers.length, 5);
    assert.throws(
      () => vqPreset('toString'),
      (error: Error) =>
        error instanceof OptionError && Object.keys(VQ_PRESETS).every((name) => error.message.includes(name)),
    );
  });
});

function namesAll(...words: readonly string[]): (error: unknown) => boolean {
  return (error) => error instanceof FormatError && words.every((word) => error.message.includes(word));
}
