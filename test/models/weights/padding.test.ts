import assert from 'node:assert/strict';
import { generate } from '../../../src/generate.ts';
import { asImage, whole } from '../../../src/kernels/bands.ts';
import { conv } from '../../../src/kernels/conv/conv.ts';
import { linear } from '../../../src/kernels/linear/linear.ts';
import { type JanusConfig, janusConfig } from '../../../src/models/janus/config.ts';
import { defineJanus } from '../../../src/models/janus/definition.ts';
import { janusWeights } from '../../../src/models/janus/weights.ts';
import { openModel } from '../../../src/models/open-model.ts';
import { codes } from '../../../src/models/parts/vq/decoder.ts';
import { vqWeights } from '../../../src/models/parts/vq/weights.ts';
import { loadWeights } from '../../../src/models/weights/load-weights.ts';
import { paddedEpsilon } from '../../../src/models/weights/padding.ts';
import { storedShapes } from '../../../src/models/weights/stored-shapes.ts';
import { weightBytes } from '../../../src/models/weights/weight-bytes.ts';
import { matrix } from '../../../src/models/weights/weight-spec.ts';
import type { Checkpoint } from '../../../src/tensor/checkpoint/checkpoint.ts';
import { Weights } from '../../../src/tensor/checkpoint/weights.ts';
import type { Runtime } from '../../../src/tensor/runtime.ts';
import { count, type Shape } from '../../../src/tensor/shape.ts';
import { linearOracle, rmsNormOracle } from '../../oracle/linear.ts';
import { convImage } from '../../oracle/vq.ts';
import { close } from '../../support/close.ts';
import { memoryCheckpoint } from '../../support/memory-checkpoint.ts';
import { randomValues } from '../../support/random.ts';
import { randomCheckpoint } from '../../support/random-checkpoint.ts';
import { compute, testRuntime } from '../../support/runtime.ts';

/** Widths of which neither 4 nor 8 divides any. */
const ODD: JanusConfig = janusConfig({
  layers: 2,
  heads: 2,
  kvHeads: 1,
  headDim: 4,
  width: 10,
  intermediateSize: 7,
  headWidth: 6,
  vocabulary: 20,
  side: 4,
  mostPromptTokens: 8,
  vq: {
    codebook: { count: 18, width: 6, normalized: true },
    zChannels: 12,
    baseChannels: 32,
    multipliers: [1, 1],
    residualBlocks: 0,
  },
});

const values = async (checkpoint: Checkpoint, name: string): Promise<Float32Array<ArrayBuffer>> =>
  await new Weights(checkpoint).values(name, checkpoint.tensors.get(name)!.shape);

describe('widths that the kernels do not read at a time', () => {
  let runtime: Runtime;
  before(async () => {
    runtime = await testRuntime();
  });

  it('give what the layer without padding gives, the norm before it included', async () => {
    const epsilon = 1e-2; // large enough to be seen
    for (const [inputs, outputs] of [
      [6, 33],
      [13, 5],
    ] as const) {
      const tree = matrix({ name: 'w', bias: 'b', gain: 'g', inputs, outputs, step: 8 });
      const checkpoint = randomCheckpoint(tree, inputs);
      const { layers: weight, dispose } = await loadWeights(runtime, tree, { checkpoint, dtype: 'f32' });
      const row = randomValues(7, inputs);
      const padded = new Float32Array(weight.inputs);
      padded.set(row);
      using x = runtime.tensor([1, weight.inputs], 'f32', 'x', padded);

      const y = await compute(runtime, () => linear(x, weight, { normEpsilon: paddedEpsilon(epsilon, inputs) }));

      const [w, b, g] = [await values(checkpoint, 'w'), await values(checkpoint, 'b'), await values(checkpoint, 'g')];
      const normed = rmsNormOracle(row, g, epsilon);
      const expected = linearOracle(normed, w, 1, inputs, outputs).map((v, i) => v + b[i]!);
      assert.deepEqual([weight.inputs, weight.outputs], [inputs === 6 ? 8 : 16, outputs === 33 ? 40 : 8]);
      // f32: products of values below 2 are summed, each sum rounded, and the norm rounds some times more
      close(y.subarray(0, outputs), expected, { absolute: 2 ** -22 * (inputs + 4) * 4 });
      assert.ok(y.subarray(outputs).every((value) => value === 0));
      dispose();
    }
  });

  it("give what a tokenizer's first layers give, of a codebook of width 6 and 12 channels", async () => {
    const tree = vqWeights(ODD.vq);
    const checkpoint = randomCheckpoint(tree, 3);
    const { layers: decoder, dispose } = await loadWeights(runtime, tree, { checkpoint, dtype: 'f32' });
    const ids = Uint32Array.from({ length: 16 }, (_, i) => i);
    using tokens = runtime.tensor([16], 'u32', 'tokens', ids);

    const image = () => asImage(codes(decoder, tokens, { lines: 4, lineLength: 4 }));
    const y = await compute(runtime, () => whole(conv(image(), decoder.convIn)));

    const rows = (await values(checkpoint, 'quantize.embedding.weight')).subarray(0, 16 * 6);
    const unit = rows.map((v, i) => v / Math.hypot(...rows.subarray(i - (i % 6), i - (i % 6) + 6)));
    const [w, b] = [
      await values(checkpoint, 'post_quant_conv.weight'),
      await values(checkpoint, 'post_quant_conv.bias'),
    ];
    const z = linearOracle(unit, w, 16, 6, 12).map((v, i) => v + b[i % 12]!);
    const [kernel, bias] = [
      await values(checkpoint, 'decoder.conv_in.weight'),
      await values(checkpoint, 'decoder.conv_in.bias'),
    ];
    const expected = convImage({ rows: 4, columns: 4, channels: 12, values: z }, kernel, bias);
    // f32: 108 products of values below 3 and 1
    close(y, expected.values, { absolute: 2 ** -23 * 110 * 110 * 3 });
    dispose();
  });

  it('draw the very image of a checkpoint with the zeros written out', async () => {
    const odd = randomCheckpoint(janusWeights(ODD), 11);
    const even: JanusConfig = {
      ...ODD,
      width: 12,
      intermediateSize: 8,
      headWidth: 8,
      normEpsilon: paddedEpsilon(ODD.normEpsilon, 10),
      vq: { ...ODD.vq, codebook: { ...ODD.vq.codebook, width: 8 }, zChannels: 16 },
    };
    const written = await zerosWritten(odd, storedShapes(janusWeights(even)));
    const draw = async (config: JanusConfig, checkpoint: Checkpoint) => {
      const before = runtime.liveBytes;
      using model = await openModel(runtime, defineJanus('odd', config), { checkpoints: { checkpoint }, dtype: 'f32' });
      // the plan leaves out the rounding of every tensor up to 16 bytes
      assert.ok(Math.abs(runtime.liveBytes - before - weightBytes(janusWeights(config), 'f32')) < 16 * 100);
      return await generate(model, { prompt: { promptTokens: [[1, 2, 3]] }, guidanceScale: 1, seed: 5 });
    };

    const [image] = await draw(ODD, odd);

    assert.deepEqual(image, (await draw(even, written))[0]);
    assert.ok(image!.tokens.every((token) => token < 18));
  });
});

/** The tensors in the first corner of zeros of other shapes; gains of the transformer's norms as their width asks. */
async function zerosWritten(checkpoint: Checkpoint, shapes: ReadonlyMap<string, Shape>): Promise<Checkpoint> {
  const tensors: Record<string, { shape: Shape; values: Float32Array<ArrayBuffer> }> = {};
  for (const [name, shape] of shapes) {
    const stored = checkpoint.tensors.get(name)!.shape;
    const isNorm = /^language_model.*norm\.weight$/.test(name);
    const scale = isNorm ? Math.sqrt(stored[0]! / shape[0]!) : 1;
    const out = new Float32Array(count(shape));
    for (const [i, value] of (await values(checkpoint, name)).entries()) out[moved(i, stored, shape)] = value * scale;
    tensors[name] = { shape, values: out };
  }
  return memoryCheckpoint(tensors);
}

/** Index of an element of shape `from` in one of shape `to`. */
function moved(index: number, from: Shape, to: Shape): number {
  let [left, stride, at] = [index, 1, 0];
  for (let axis = from.length - 1; axis >= 0; axis--) {
    at += (left % from[axis]!) * stride;
    left = Math.floor(left / from[axis]!);
    stride *= to[axis]!;
  }
  return at;
}
