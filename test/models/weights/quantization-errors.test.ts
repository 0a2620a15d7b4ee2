import assert from 'node:assert/strict';
import fc from 'fast-check';
import { GROUP, QMAX } from '../../../src/kernels/linear/quantize.ts';
import { blockBytes } from '../../../src/kernels/linear/weight.ts';
import { fittingModels } from '../../../src/models/fitting.ts';
import { likelyMatrices, quantizationErrors, relativeError } from '../../../src/models/weights/quantization-errors.ts';
import { weightBytes } from '../../../src/models/weights/weight-bytes.ts';
import { matrix } from '../../../src/models/weights/weight-spec.ts';
import { openCheckpoint } from '../../../src/tensor/checkpoint/checkpoint.ts';
import { halfBits, halfValue } from '../../../src/tensor/dtype.ts';
import { FormatError } from '../../../src/tensor/errors.ts';
import { fileSource } from '../../../src/tensor/source/file-node.ts';
import { randomValues } from '../../support/random.ts';
import { valueCheckpoint } from '../../support/value-checkpoint.ts';

/** w − ŵ of each value of a row, by the definition. */
function rowErrors(row: Float32Array, most: number): number[] {
  return [...row].map((w, i) => {
    const group = row.subarray(i - (i % GROUP), i - (i % GROUP) + GROUP);
    const scale = halfValue(halfBits(Math.max(...group.map(Math.abs)) / most));
    return scale === 0 ? w : w - scale * Math.max(-most, Math.min(most, Math.round(w / scale)));
  });
}

describe('errors of quantization', () => {
  it('are those of the definition, for every matrix of a layer and with the gain folded in', async () => {
    const sizes = fc.record({
      dtype: fc.constantFrom('int8' as const, 'int4' as const),
      inputs: fc.constantFrom(4, 32, 36, 100),
      outputs: fc.constantFrom(1, 32, 50),
      seed: fc.nat(),
    });
    const property = fc.asyncProperty(sizes, async ({ dtype, inputs, outputs, seed }) => {
      const names = ['gate', 'up'] as const;
      const matrices = names.map((_, i) => randomValues(seed + i, inputs * outputs));
      const gain = randomValues(seed + 2, inputs);
      const stored = names.map((name, i) => [name, { shape: [outputs, inputs], values: matrices[i]! }] as const);
      const tensors = { ...Object.fromEntries(stored), gain: { shape: [inputs], values: gain } };

      const tree = matrix({ name: 'gate', up: 'up', gain: 'gain', inputs, outputs });
      const measured = await quantizationErrors(tree, valueCheckpoint('file', tensors), { dtype });

      assert.deepEqual(
        measured.map(({ name, shape, bytes }) => ({ name, shape, bytes })),
        names.map((name) => ({
          name,
          shape: [outputs, inputs],
          bytes: Math.ceil(outputs / 32) * blockBytes(inputs, dtype),
        })),
      );
      const square = (values: readonly number[]) => values.reduce((sum, v) => sum + v * v, 0);
      const folded = matrices.map((matrix) => matrix.map((w, i) => w * gain[i % inputs]!));
      const errors = folded.map((matrix) =>
        Array.from({ length: outputs }, (_, r) => matrix.subarray(r * inputs, (r + 1) * inputs)).flatMap((row) =>
          rowErrors(row, QMAX[dtype]),
        ),
      );
      // q times a scale is exact in f32: 7 and 11 bits
      for (const [i, { errorSquares, weightSquares, largest }] of measured.entries()) {
        const near = (a: number, b: number) => assert.ok(Math.abs(a - b) <= 1e-12 * b, `${a} ${b}`);
        near(errorSquares, square(errors[i]!));
        near(weightSquares, square([...folded[i]!]));
        near(largest, Math.max(...errors[i]!.map(Math.abs)));
      }
      const together = Math.sqrt(square(errors.flat()) / square(folded.flatMap((matrix) => [...matrix])));
      assert.ok(Math.abs(relativeError(measured) - together) < 1e-12);
    });
    await fc.assert(property, { numRuns: 60 });
  });

  it('are measured of the matrices that the model quantizes, in the order of loading', async () => {
    const checkpoint = await openCheckpoint(await fileSource('checkpoints/emoji/gpt.safetensors'));
    const [fit] = fittingModels(checkpoint);
    const { weights } = fit!.definition.parts[fit!.part]!;

    const matrices = await quantizationErrors(weights, checkpoint, { dtype: 'int4' });

    await checkpoint.close();
    assert.equal(fit?.definition.name, 'emoji');
    assert.deepEqual(
      matrices.filter(({ dtype }) => dtype === 'f16').map(({ name }) => name),
      ['output.weight'],
    );
    assert.equal(matrices.length, 6 * 5 + 1);
    assert.deepEqual(
      matrices.slice(0, 5).map(({ name }) => name.slice('layers.0.'.length)),
      [
        'attention.wqkv.weight',
        'attention.wo.weight',
        'feed_forward.w1.weight',
        'feed_forward.w3.weight',
        'feed_forward.w2.weight',
      ],
    );
    assert.ok(matrices.reduce((sum, { bytes }) => sum + bytes, 0) < weightBytes(weights, 'int4')); // tables and vectors beside them
  });

  it('of an unknown checkpoint are measured of all that look like matrices of blocks', async () => {
    const tensors = Object.fromEntries(
      [
        ['blocks.0.q.weight', [40, 64]],
        ['blocks.0.norm.weight', [64]],
        ['tok_embeddings.weight', [100, 64]],
        ['output.weight', [100, 64]],
        ['lm_head.weight', [100, 64]],
        ['conv.weight', [8, 8, 3, 3]],
        ['blocks.0.odd.weight', [8, 3]],
      ].map(([name, shape]) => {
        const sizes = shape as number[];
        const count = sizes.reduce((product, size) => product * size, 1);
        return [name as string, { shape: sizes, values: randomValues(count, count) }];
      }),
    );
    const checkpoint = valueCheckpoint('file', tensors);
    assert.deepEqual(fittingModels(checkpoint), []);

    const matrices = await quantizationErrors(likelyMatrices(checkpoint), checkpoint, { dtype: 'int8' });

    assert.deepEqual(
      matrices.map(({ name }) => name),
      ['blocks.0.q.weight'],
    );
    tensors['blocks.0.q.weight']!.values[3] = Number.NaN;
    await assert.rejects(
      quantizationErrors(likelyMatrices(checkpoint), checkpoint, { dtype: 'int8' }),
      (error) => error instanceof FormatError && /^file: blocks\.0\.q\.weight: expected finite/.test(error.message),
    );
  });

  it('of zeros are none', async () => {
    const checkpoint = valueCheckpoint('file', { w: { shape: [32, 32], values: new Float32Array(1024) } });
    const matrices = await quantizationErrors(likelyMatrices(checkpoint), checkpoint, { dtype: 'int4' });
    assert.deepEqual([relativeError(matrices), relativeError([])], [0, 0]);
  });
});
