import assert from 'node:assert/strict';
import fc from 'fast-check';
import { generate } from '../../../src/generate.ts';
import type { QuantizedDtype } from '../../../src/kernels/linear/quantize.ts';
import { chameleonWeights } from '../../../src/models/chameleon/weights.ts';
import { janusWeights } from '../../../src/models/janus/weights.ts';
import { defineLlamaGen } from '../../../src/models/llamagen/definition.ts';
import { gptWeights } from '../../../src/models/llamagen/weights.ts';
import { openModel } from '../../../src/models/open-model.ts';
import { t5Weights } from '../../../src/models/parts/t5/weights.ts';
import { loadWeights } from '../../../src/models/weights/load-weights.ts';
import { quantizeCheckpoint } from '../../../src/models/weights/quantize-checkpoint.ts';
import { expectFit } from '../../../src/models/weights/stored-shapes.ts';
import { matrix } from '../../../src/models/weights/weight-spec.ts';
import type { Checkpoint } from '../../../src/tensor/checkpoint/checkpoint.ts';
import { openCheckpoint } from '../../../src/tensor/checkpoint/checkpoint.ts';
import { FormatError, OptionError } from '../../../src/tensor/errors.ts';
import { Runtime } from '../../../src/tensor/runtime.ts';
import { bytesSource } from '../../../src/tensor/source/bytes.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { luminaConfig } from '../../support/chameleon.ts';
import { openGolden } from '../../support/golden.ts';
import { goldenT5Config } from '../../support/golden-t5.ts';
import { janusConfig } from '../../support/janus.ts';
import { memoryCheckpoint } from '../../support/memory-checkpoint.ts';
import { randomValues } from '../../support/random.ts';
import { randomCheckpoint } from '../../support/random-checkpoint.ts';
import { testRuntime } from '../../support/runtime.ts';
import { goldenConfig } from '../../support/trace.ts';

const DTYPES = ['int8', 'int4'] as const;

/** The file of a quantized checkpoint. */
async function quantizedFile(checkpoint: Checkpoint, tree: unknown, dtype: QuantizedDtype): Promise<Uint8Array> {
  const pieces: [number, Uint8Array][] = [];
  const write = async (position: number, bytes: Uint8Array) => void pieces.push([position, bytes.slice()]);
  const { bytes } = await quantizeCheckpoint(checkpoint, tree, { dtype, model: 'tiny', write });
  const file = new Uint8Array(bytes);
  for (const [position, piece] of pieces) file.set(piece, position);
  assert.equal(
    pieces.reduce((sum, [, piece]) => sum + piece.length, 0),
    bytes,
    'a byte is written twice or never',
  );
  return file;
}

/** What a tree is on the GPU, tensor by tensor, and on the CPU. */
async function loaded(runtime: Runtime, tree: unknown, checkpoint: Checkpoint, dtype: QuantizedDtype | 'f16') {
  const { layers, dispose } = await loadWeights(runtime, tree, { checkpoint, dtype });
  const found: unknown[] = [];
  const walk = async (branch: unknown): Promise<void> => {
    if (branch instanceof Tensor) found.push([branch.label, branch.dtype, branch.shape, await branch.read()]);
    else if (branch instanceof Float32Array || typeof branch !== 'object' || branch === null) found.push(branch);
    else for (const one of Object.values(branch)) if (typeof one !== 'function') await walk(one);
  };
  await walk(layers);
  dispose();
  return found;
}

async function expectSame(runtime: Runtime, tree: unknown, checkpoint: Checkpoint, dtype: QuantizedDtype) {
  const stored = await openCheckpoint(bytesSource('stored', await quantizedFile(checkpoint, tree, dtype)));
  expectFit(tree, stored, []);
  const actual = await loaded(runtime, tree, stored, 'f16');
  assert.deepEqual(actual, await loaded(runtime, tree, checkpoint, dtype));
}

describe('a checkpoint that is quantized once', () => {
  it('is on the GPU, bit for bit, what its original is when it is quantized at every load: every family', async () => {
    const runtime = await testRuntime();
    const trees = {
      'llamagen from classes': gptWeights(goldenConfig('llamagen-c2i')),
      'llamagen from captions': gptWeights(goldenConfig('llamagen-t2i')),
      janus: janusWeights(janusConfig()),
      chameleon: chameleonWeights(luminaConfig()),
      t5: t5Weights(goldenT5Config(), 8),
    };
    const before = runtime.liveBytes;
    for (const tree of Object.values(trees))
      for (const dtype of DTYPES) await expectSame(runtime, tree, randomCheckpoint(tree, 1), dtype);
    assert.equal(runtime.liveBytes, before);
  });

  it('is so for matrices of any heights, stacked, paired, padded, and split by a binding limit', async () => {
    using narrow = await Runtime.open({ driver: 'swiftshader', tuning: 'priors', maxBindingBytes: 16_384 });
    interface Case {
      readonly heights: readonly number[];
      readonly inputs: number;
      readonly isPaired: boolean;
      readonly hasGain: boolean;
      readonly dtype: QuantizedDtype;
    }
    const cases: fc.Arbitrary<Case> = fc.record({
      heights: fc.array(fc.constantFrom(1, 31, 32, 33, 70), { minLength: 1, maxLength: 3 }),
      inputs: fc.constantFrom(4, 12, 40, 132),
      isPaired: fc.boolean(),
      hasGain: fc.boolean(),
      dtype: fc.constantFrom(...DTYPES),
    });
    const check = async ({ heights, inputs, isPaired, hasGain, dtype }: Case) => {
      const outputs = heights.reduce((sum, height) => sum + height, 0);
      const tree = matrix({
        ...(isPaired
          ? { name: 'gate', up: 'up', step: 4 as const }
          : { name: heights.map((_, i) => `m${i}`), heights }),
        inputs,
        outputs,
        ...(hasGain && { gain: 'gain' }),
      });
      await expectSame(narrow, tree, randomCheckpoint(tree, 3), dtype);
    };
    const split: Case = { heights: [70, 33], inputs: 132, isPaired: true, hasGain: true, dtype: 'int8' };
    await fc.assert(fc.asyncProperty(cases, check), { numRuns: 15, examples: [[split]] });
  });

  it('gives its dtype to the model, which draws the same image, and refuses another', async () => {
    const runtime = await testRuntime();
    const golden = await openGolden('llamagen-c2i');
    const { model: vq, close } = await openGolden('llamagen-vq');
    const config = goldenConfig('llamagen-c2i');
    const definition = defineLlamaGen('tiny', config);
    const file = await quantizedFile(golden.model, gptWeights(config), 'int4');
    const stored = await openCheckpoint(bytesSource('stored', file));
    const load = (checkpoint: Checkpoint, dtype?: 'int4' | 'int8' | 'f16') =>
      openModel(runtime, definition, { checkpoints: { checkpoint, vq }, ...(dtype && { dtype }) });
    using atLoad = await load(golden.model, 'int4');
    using once = await load(stored);

    const draw = (model: typeof once) => generate(model, { prompt: { classes: [3] }, guidanceScale: 1 });
    assert.deepEqual(await draw(once), await draw(atLoad));

    for (const other of ['int8', 'f16'] as const)
      await assert.rejects(load(stored, other), (error: Error) => {
        assert.ok(error instanceof OptionError);
        return (
          error.message ===
          `dtype: expected int4, in which stored is stored, got ${other}; leave it out, or load the original`
        );
      });
    (await load(stored, 'int4')).dispose();
    await golden.close();
    await close();
  });

  it('is refused where it is damaged, or where there is nothing to do', async () => {
    const runtime = await testRuntime();
    const tree = {
      w: matrix({ name: 'w', inputs: 8, outputs: 3 }),
      kept: matrix({ name: 'k', inputs: 8, outputs: 3, unquantized: true }),
    };
    const original = randomCheckpoint(tree, 1);
    const file = await quantizedFile(original, tree, 'int8');
    const opened = (bytes: Uint8Array) => openCheckpoint(bytesSource('stored', bytes));
    const edited = (from: string, to: string) => {
      const text = Buffer.from(file).toString('latin1');
      assert.ok(text.includes(from) && from.length === to.length);
      return Buffer.from(text.replace(from, to), 'latin1');
    };
    const damage: readonly (readonly [Uint8Array, RegExp])[] = [
      [
        edited('"rasterline.quantized":"1"', '"rasterline.quantized":"2"'),
        /expected quantized weights of version 1, got '?2'?; quantize/,
      ],
      [edited('"int8"', '"int9"'), /expected quantized weights in int8 or int4, got/],
      [edited('"int8"', '"int4"'), /w\.words: expected \[1, 128\], got \[1, 256\]/],
      [edited('w.scales', 'w.scalez'), /expected a tensor w\.scales \[1, 128\], got none/],
      [edited('"U32"', '"I32"'), /w\.words: expected a tensor of u32, got i32/],
    ];
    const load = async (bytes: Uint8Array) => {
      const checkpoint = await opened(bytes);
      expectFit(tree, checkpoint, []);
      (await loadWeights(runtime, tree, { checkpoint, dtype: 'f16' })).dispose();
    };
    await load(file);
    for (const [bytes, text] of damage)
      await assert.rejects(load(bytes), (error: Error) => {
        assert.match(error.message, text);
        return error instanceof FormatError;
      });
    const scales = (await opened(file)).tensors.get('w.scales')!;
    const infinite = file.slice();
    const at = Buffer.from(infinite).indexOf(Buffer.from(await scales.read(0, 8)));
    infinite.set([0, 0x7c], at);
    const before = runtime.liveBytes;
    await assert.rejects(
      load(infinite),
      /w\.scales: expected weights that are finite in f16, got Infinity; the checkpoint is damaged/,
    );
    assert.equal(runtime.liveBytes, before);

    const refused = (
      checkpoint: Checkpoint,
      of: unknown,
      error: typeof OptionError | typeof FormatError,
      text: RegExp,
    ) =>
      assert.rejects(
        quantizedFile(checkpoint, of, 'int4'),
        (thrown: Error) => thrown instanceof error && text.test(thrown.message),
      );
    await refused(await opened(file), tree, OptionError, /expected weights in float, got int8; quantize the original/);
    await refused(original, tree.kept, OptionError, /expected matrices to quantize, got none/);
    const values = randomValues(1, 24).fill(Number.NaN, 3, 4);
    await refused(memoryCheckpoint({ w: { shape: [3, 8], values } }), tree.w, FormatError, /made: w: expected finite/);
  });
});
