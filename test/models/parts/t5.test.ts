import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { bucket } from '../../../src/models/parts/t5/buckets.ts';
import { FLAN_T5_XL, T5_IGNORED, type T5Config } from '../../../src/models/parts/t5/config.ts';
import { encodeText } from '../../../src/models/parts/t5/model.ts';
import { t5Weights } from '../../../src/models/parts/t5/weights.ts';
import { loadWeights } from '../../../src/models/weights/load-weights.ts';
import { expectFit, parameterCount, storedShapes } from '../../../src/models/weights/stored-shapes.ts';
import { close } from '../../support/close.ts';
import { openGolden } from '../../support/golden.ts';
import { goldenT5Config } from '../../support/golden-t5.ts';
import { memoryTensor } from '../../support/memory-checkpoint.ts';
import { compute, testRuntime } from '../../support/runtime.ts';

const TOKENS = 120;

/** ids [R, T] with padding behind → padding in front, and where each row begins. */
function leftPadded(
  ids: ArrayLike<number>,
  mask: ArrayLike<number>,
): { ids: Uint32Array<ArrayBuffer>; leftPadding: number[] } {
  const padded = new Uint32Array(ids.length);
  const leftPadding: number[] = [];
  for (let row = 0; row < ids.length / TOKENS; row++) {
    const from = row * TOKENS;
    const length = Array.from({ length: TOKENS }, (_, i) => mask[from + i]!).reduce((sum, one) => sum + one, 0);
    for (let i = 0; i < length; i++) padded[from + TOKENS - length + i] = ids[from + i]!;
    leftPadding.push(TOKENS - length);
  }
  return { ids: padded, leftPadding };
}

describe('T5 encoder', () => {
  it('gives the features of the reference, which pads behind and then moves them behind their padding', async () => {
    const runtime = await testRuntime();
    const golden = await openGolden('t5');
    const weights = t5Weights(goldenT5Config(), TOKENS);
    expectFit(weights, golden.model, T5_IGNORED);
    const { layers: encoder, dispose } = await loadWeights(runtime, weights, {
      checkpoint: golden.model,
      dtype: 'f32',
    });
    const { ids, leftPadding } = leftPadded(await golden.values('ids'), await golden.values('mask'));
    using idsTensor = runtime.tensor([ids.length], 'u32', 'ids', ids);
    using startsTensor = runtime.tensor([leftPadding.length], 'u32', 'starts', Uint32Array.from(leftPadding));

    const features = await compute(runtime, () => encodeText(encoder, idsTensor, startsTensor));

    // as in the fixtures of the other models: f32 in another order, features of about 1
    close(features, await golden.values('features'), { absolute: 2e-4, relative: 1e-4 });
    const padding = features.subarray(0, leftPadding[0]! * goldenT5Config().width);
    assert.ok(padding.every((value) => value === 0));
    dispose();
    await golden.close();
  });

  it('sorts distances into the classes of the reference', () => {
    const tables: Readonly<Record<string, readonly number[]>> = JSON.parse(
      readFileSync('test/golden/t5/buckets.json', 'utf8'),
    );
    for (const [sizes, expected] of Object.entries(tables)) {
      const [buckets, maxDistance] = sizes.split(' ').map(Number) as [number, number];
      const actual = expected.map((_, i) => bucket(i - (expected.length - 1) / 2, { buckets, maxDistance }));
      assert.deepEqual(actual, expected, sizes);
    }
  });

  it('takes the embedding table under either name, and every other tensor by the names of transformers', async () => {
    for (const name of ['shared.weight', 'encoder.embed_tokens.weight'] as const) {
      const small: T5Config = { ...FLAN_T5_XL, layers: 2 };
      const table = memoryTensor(name, { shape: [1], values: new Float32Array(1) });
      const shapes = storedShapes(t5Weights(small, TOKENS), { tensors: new Map([[name, table]]) });
      assert.deepEqual(shapes.get(name), [32128, 2048]);
      assert.deepEqual(
        [...shapes].filter(([tensor]) => tensor.startsWith('encoder.block.1.')),
        [
          ['encoder.block.1.layer.0.SelfAttention.q.weight', [2048, 2048]],
          ['encoder.block.1.layer.0.SelfAttention.k.weight', [2048, 2048]],
          ['encoder.block.1.layer.0.SelfAttention.v.weight', [2048, 2048]],
          ['encoder.block.1.layer.0.layer_norm.weight', [2048]],
          ['encoder.block.1.layer.0.SelfAttention.o.weight', [2048, 2048]],
          ['encoder.block.1.layer.1.DenseReluDense.wi_0.weight', [5120, 2048]],
          ['encoder.block.1.layer.1.DenseReluDense.wi_1.weight', [5120, 2048]],
          ['encoder.block.1.layer.1.layer_norm.weight', [2048]],
          ['encoder.block.1.layer.1.DenseReluDense.wo.weight', [2048, 5120]],
        ],
      );
    }
  });

  it('has the parameters of flan-t5-xl: 1,223,527,424 in the encoder', async () => {
    assert.equal(parameterCount(t5Weights(FLAN_T5_XL, TOKENS)), 1_223_527_424);
  });
});
