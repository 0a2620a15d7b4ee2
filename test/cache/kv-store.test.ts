import assert from 'node:assert/strict';
import fc from 'fast-check';
import { KvStore } from '../../src/cache/kv-store.ts';
import { mostLanes } from '../../src/cache/wavefront.ts';
import { stepLength } from '../../src/kernels/attention/slots.ts';
import { ELEMENT_BYTES, storedBytes } from '../../src/tensor/dtype.ts';
import { DeviceError } from '../../src/tensor/errors.ts';
import { Runtime } from '../../src/tensor/runtime.ts';
import { type GpuShape, gpuShapes, planOf, positionOffsetsOf } from '../support/gpu-inputs.ts';
import { checkAttention, checkHeld, checkSummaries, checkWritten } from '../support/gpu-store-checks.ts';
import { drawImages, type GpuImage, type GpuRun } from '../support/gpu-store-run.ts';
import { testRuntime } from '../support/runtime.ts';
import { bookkeeping, INVARIANTS, sameHeld } from '../support/store-invariants.ts';

/**
 * Drawing is slow and checking is not: the properties share a seed, so that all see the same images. A failure prints it;
 * put it here to see the same again.
 */
const SEED = Date.now() & 0x7fffffff;
const drawn = new Map<string, Promise<GpuRun>>();

async function imageOf(shape: GpuShape): Promise<{ readonly image: GpuImage; readonly run: GpuRun }> {
  const key = JSON.stringify(shape);
  const drawing = drawn.get(key) ?? drawImages(await testRuntime(), shape, [{ seed: SEED }]);
  drawn.set(key, drawing);
  const run = await drawing;
  return { image: run.images[0]!, run };
}

async function forImages(check: (shape: GpuShape, image: GpuImage, run: GpuRun) => void): Promise<void> {
  const property = async (shape: GpuShape) => {
    const { image, run } = await imageOf(shape);
    check(shape, image, run);
  };
  await fc.assert(fc.asyncProperty(gpuShapes, property), { numRuns: 12, seed: SEED });
}

async function forShapes(numRuns: number, check: (runtime: Runtime, shape: GpuShape) => Promise<void>): Promise<void> {
  const runtime = await testRuntime();
  await fc.assert(
    fc.asyncProperty(gpuShapes, (shape) => check(runtime, shape)),
    { numRuns, seed: SEED },
  );
}

/** Rows of every matrix [rows, width] in another order. */
function reorder(matrix: Float32Array, order: readonly number[]): Float32Array {
  const width = matrix.length / order.length;
  return Float32Array.from(order.flatMap((row) => [...matrix.subarray(row * width, (row + 1) * width)]));
}

function sameImage(actual: GpuImage, expected: GpuImage): void {
  assert.deepEqual([actual.prefill, actual.outputs], [expected.prefill, expected.outputs]);
  for (const [i, cell] of expected.cells.entries()) sameHeld(actual.cells[i]!.history, cell.history);
}

describe('KvStore on the GPU', () => {
  after(() => drawn.clear());

  for (const [title, check] of Object.entries(INVARIANTS)) {
    it(title, () =>
      forImages((_, { cells }) => {
        for (const { history } of cells) check(history);
      }),
    );
  }

  it('1. the store allocates exactly its slots when it is built, and nothing after', () =>
    forImages((shape, { made }, { storeBytes, openedBytes, scratchBytes }) => {
      const { layers, condition, leftPadding, kvHeads, lineLength, headDim, dtype } = shape;
      const plan = planOf(shape);
      const isInt8 = dtype === 'int8';
      const rests = isInt8 ? plan.summaries : 0;
      const slots = leftPadding.length * kvHeads * (condition + plan.budgetLines * lineLength + rests);
      // in int8 a word for two scales beside the key
      const keysAndValues = isInt8
        ? storedBytes('u32', slots * (headDim / 4 + 1)) + storedBytes('u32', (slots * headDim) / 4)
        : 2 * storedBytes(dtype, slots * headDim);
      const slotBytes = isInt8 ? 2 * headDim + 4 : 2 * headDim * ELEMENT_BYTES[dtype];
      // a position, and a score of every line in flight
      const words =
        storedBytes('u32', slots) +
        (plan.observe === 'nothing' ? 0 : storedBytes('f32', slots * Math.ceil(lineLength / plan.window)));

      const { buffers, maps, bindGroups, pipelines, liveBytes } = made;
      assert.deepEqual([buffers - maps, bindGroups, pipelines, liveBytes], [0, 0, 0, 0], 'read-backs aside');
      assert.equal(storeBytes, layers * slots * slotBytes);
      const step =
        storedBytes('u32', stepLength(mostLanes({ ...shape, window: plan.window, hasLineEnd: false }))) +
        storedBytes('u32', 2 * leftPadding.length);
      assert.equal(openedBytes, layers * (keysAndValues + words) + step + scratchBytes);
      // four words a candidate, and less than 64 bytes of sizes for each dispatch of a line's end
      const candidates = leftPadding.length * kvHeads * (plan.survivors + 2 * plan.summaries + lineLength);
      assert.ok(scratchBytes <= 16 * candidates + 2 * 64 * layers * leftPadding.length);
    }));

  it('6. regions and slots are those of the plain models, given the scores', () =>
    forImages((shape, { cells }) => {
      for (const cell of cells) checkHeld(shape, cell);
    }));

  it('11. a summary is the mean of exactly the tokens evicted into it', () =>
    forImages((shape, { cells }) => {
      for (const cell of cells) checkSummaries(shape, cell);
    }));

  it('stores keys rotated by position, and values as they came', () =>
    forImages((shape, image) => {
      for (const cell of image.cells) checkWritten(shape, image, cell);
    }));

  it('attends to what the regions hold and nothing else, and scores it, as in f64', () =>
    forImages((shape, image) => {
      for (const cell of image.cells) checkAttention(shape, image, cell);
    }));

  it('holds and attends so in the wide workgroups of a hardware GPU too', async () => {
    using software = await Runtime.open({ driver: 'swiftshader' });
    using runtime = await Runtime.open({ device: software.device });
    assert.ok(!runtime.isSoftware, 'a device of the caller is taken for hardware');
    for (const shape of fc.sample(gpuShapes, { numRuns: 2, seed: SEED })) {
      const image = (await drawImages(runtime, shape, [{ seed: SEED }])).images[0]!;
      for (const cell of image.cells) {
        for (const check of Object.values(INVARIANTS)) check(cell.history);
        checkHeld(shape, cell);
        checkWritten(shape, image, cell);
        checkAttention(shape, image, cell);
      }
    }
  });

  it('8. a budget of all lines or more gives the full cache bit for bit', () =>
    forShapes(4, async (runtime, shape) => {
      const cache = { ...shape.cache, budgetLines: shape.lines + (SEED % 3) };
      const full = await drawImages(runtime, { ...shape, cache: {} }, [{ seed: SEED }]);
      const budgeted = await drawImages(runtime, { ...shape, cache }, [{ seed: SEED }]);
      sameImage(budgeted.images[0]!, full.images[0]!);
    }));

  it('8. the page table after k lines does not depend on the scores', () =>
    forShapes(4, async (runtime, shape) => {
      const { images } = await drawImages(runtime, shape, [{ seed: SEED }, { seed: SEED + 1 }]);
      const [one, other] = images.map(({ cells }) => cells.map(({ history }) => bookkeeping(history)));
      assert.deepEqual(other, one);
    }));

  it('8. permuting rows permutes results', async () => {
    const property = async (shape: GpuShape, by: number) => {
      const rows = shape.leftPadding.length;
      const order = shape.leftPadding.map((_, row) => (row + by) % rows);
      const { image } = await imageOf(shape);
      const permuted = { ...shape, leftPadding: order.map((row) => shape.leftPadding[row]!), feeds: order };

      const { images } = await drawImages(await testRuntime(), permuted, [{ seed: SEED }]);

      const { outputs, prefill, cells } = images[0]!;
      const expected = image.outputs.map((layers) => layers.map((output) => reorder(output, order)));
      assert.deepEqual(outputs, expected);
      assert.deepEqual(
        prefill,
        image.prefill.map((output) => reorder(output, order)),
      );
      for (const { layer, row, head, history } of cells) {
        const same = image.cells.find((c) => c.layer === layer && c.row === order[row] && c.head === head);
        assert.deepEqual(history.moments, same!.history.moments);
      }
    };
    await fc.assert(fc.asyncProperty(gpuShapes, fc.integer({ min: 1, max: 2 }), property), { numRuns: 4, seed: SEED });
  });

  it('8. rows split over several bindings give the same bits', async () => {
    const shape = {
      layers: 2,
      lines: 6,
      lineLength: 4,
      condition: 2,
      leftPadding: [0, 1, 0],
      images: 3,
      isShifted: true,
      kvHeads: 2,
      group: 1,
      headDim: 12,
      pairing: 'half-split' as const,
      cache: { policy: 'line-ar' as const, budgetLines: 5 },
      sharpness: 3,
    };
    const rowBytes = { f32: 2 * 22 * 12 * 4, f16: 2 * 22 * 12 * 2 };
    const splits = [
      { dtype: 'f32' as const, maxBindingBytes: rowBytes.f32 }, // a row each
      { dtype: 'f16' as const, maxBindingBytes: 3 * rowBytes.f16 - 1 }, // two, and one
    ];
    using wide = await Runtime.open({ driver: 'swiftshader' }); // drivers differ in bits
    for (const { dtype, maxBindingBytes } of splits) {
      using narrow = await Runtime.open({ driver: 'swiftshader', maxBindingBytes });
      const whole = await drawImages(wide, { ...shape, dtype }, [{ seed: SEED }]);
      const split = await drawImages(narrow, { ...shape, dtype }, [{ seed: SEED }]);
      sameImage(split.images[0]!, whole.images[0]!);
    }
  });

  it('9. a store reset in the middle of an image behaves like a new one', () =>
    forShapes(5, async (runtime, shape) => {
      const stop = 1 + (SEED % (shape.lines * shape.lineLength));
      const { images } = await drawImages(runtime, shape, [{ seed: SEED + 1, tokens: stop }, { seed: SEED }]);
      sameImage(images[1]!, (await imageOf(shape)).image);
    }));

  it('gives all memory back, also where a binding cannot hold a row', async () => {
    using runtime = await Runtime.open({ driver: 'swiftshader', maxBindingBytes: 1024 });
    const shape = { ...fc.sample(gpuShapes, { numRuns: 1, seed: SEED })[0]!, headDim: 100 };
    const geometry = { ...shape, heads: shape.kvHeads, positionOffsets: positionOffsetsOf(shape) };

    const opening = KvStore.open(runtime, geometry, planOf(shape));

    await assert.rejects(
      opening,
      (error) => error instanceof DeviceError && /use a smaller budget/.test(error.message),
    );
    assert.equal(runtime.liveBytes, 0);
  });
});
