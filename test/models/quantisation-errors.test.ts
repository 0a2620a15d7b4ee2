import assert from 'node:assert/strict';
import fc from 'fast-check';
import { blockBytes } from '../../src/kernels/linear-weight.ts';
import { GROUP, MOST } from '../../src/kernels/quantise.ts';
import { ErrorLoader, largestError, relativeError } from '../../src/models/error-loader.ts';
import { fittingPresets } from '../../src/models/fitting.ts';
import { quantisationErrors } from '../../src/models/quantisation-errors.ts';
import { openCheckpoint } from '../../src/tensor/checkpoint.ts';
import { halfBits, halfValue } from '../../src/tensor/dtype.ts';
import { FormatError } from '../../src/tensor/errors.ts';
import { fileSource } from '../../src/tensor/file-node.ts';
import { Weights } from '../../src/tensor/weights.ts';
import { randomValues } from '../support/random.ts';
import { valueCheckpoint } from '../support/value-checkpoint.ts';

/** w − ŵ of each value of a row, by the definition. */
function rowErrors(row: Float32Array, most: number): number[] {
  return [...row].map((w, i) => {
    const group = row.subarray(i - (i % GROUP), i - (i % GROUP) + GROUP);
    const scale = halfValue(halfBits(Math.max(...group.map(Math.abs)) / most));
    return scale === 0 ? w : w - scale * Math.max(-most, Math.min(most, Math.round(w / scale)));
  });
}

describe('errors of quantisation', () => {
  it('are those of the definition, over all matrices of a layer and with the gain folded in', async () => {
    const sizes = fc.record({
      dtype: fc.constantFrom('int8' as const, 'int4' as const),
      inputs: fc.constantFrom(4, 32, 36, 100),
      outputs: fc.constantFrom(1, 32, 50),
      seed: fc.nat(),
    });
    const property = fc.asyncProperty(sizes, async ({ dtype, inputs, outputs, seed }) => {
      const [gate, up] = [0, 1].map((i) => randomValues(seed + i, inputs * outputs));
      const gain = randomValues(seed + 2, inputs);
      const shape = [outputs, inputs];
      const tensors = { gate: { shape, values: gate! }, up: { shape, values: up! } };
      const checkpoint = valueCheckpoint('file', { ...tensors, gain: { shape: [inputs], values: gain } });
      const folded = [gate!, up!].map((matrix) => matrix.map((w, i) => w * gain[i % inputs]!));
      const rows = folded.flatMap((matrix) =>
        Array.from({ length: outputs }, (_, r) => matrix.subarray(r * inputs, (r + 1) * inputs)),
      );
      const errors = rows.flatMap((row) => rowErrors(row, MOST[dtype]));
      const square = (values: readonly number[]) => values.reduce((sum, v) => sum + v * v, 0);

      const loader = new ErrorLoader(new Weights(checkpoint, []), dtype);
      await loader.linear({ name: 'gate', up: 'up', gain: 'gain', inputs, outputs });

      const [layer] = loader.layers;
      assert.ok(layer);
      assert.deepEqual(layer.shape, [2 * outputs, inputs]);
      assert.equal(layer.bytes, 2 * Math.ceil(outputs / 32) * blockBytes(inputs, dtype));
      // a product of f32 is rounded once more where it is stored: 2^-24 of the weight on either side
      const all = rows.flatMap((row) => [...row]);
      const relative = Math.sqrt(square(errors) / square(all));
      assert.ok(Math.abs(relativeError([layer]) - relative) < 2 ** -22, `${relativeError([layer])} ${relative}`);
      const most = (values: readonly number[]) => Math.max(...values.map(Math.abs));
      assert.ok(Math.abs(largestError([layer]) - most(errors) / most(all)) < 2 ** -22);
    });
    await fc.assert(property, { numRuns: 60 });
  });

  it('are measured of the matrices that the model quantises, in the order of loading', async () => {
    const checkpoint = await openCheckpoint(await fileSource('checkpoints/emoji/gpt.safetensors'));
    const [fit] = await fittingPresets(checkpoint);

    const layers = await quantisationErrors(checkpoint, 'int4', { fit: fit! });

    await checkpoint.close();
    assert.equal(fit?.preset.name, 'emoji');
    assert.deepEqual(
      layers.filter(({ dtype }) => dtype === 'f16').map(({ name }) => name),
      ['output.weight'],
    );
    assert.equal(layers.length, 6 * 4 + 1);
    assert.deepEqual(layers[2]?.name, 'layers.0.feed_forward.w1.weight');
    // no weight is further off than half a step of 1 / 7 of its group's largest, the step rounded to f16
    for (const layer of layers) assert.ok(largestError([layer]) <= (0.5 + 2 ** -12) / 7, layer.name);
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
    assert.deepEqual(await fittingPresets(checkpoint), []);

    const layers = await quantisationErrors(checkpoint, 'int8');

    assert.deepEqual(
      layers.map(({ name }) => name),
      ['blocks.0.q.weight'],
    );
    tensors['blocks.0.q.weight']!.values[3] = Number.NaN;
    await assert.rejects(
      quantisationErrors(checkpoint, 'int8'),
      (error) => error instanceof FormatError && /^file: blocks\.0\.q\.weight: expected finite/.test(error.message),
    );
  });

  it('of zeros are none', async () => {
    const checkpoint = valueCheckpoint('file', { w: { shape: [32, 32], values: new Float32Array(1024) } });
    const layers = await quantisationErrors(checkpoint, 'int4');
    assert.deepEqual([relativeError(layers), largestError(layers), relativeError([])], [0, 0, 0]);
  });
});
