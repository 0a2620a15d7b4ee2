import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { ChameleonConfig } from '../../../src/models/chameleon/config.ts';
import { chameleon } from '../../../src/models/chameleon/family.ts';
import { CHAMELEON_IGNORED, chameleonWeights } from '../../../src/models/chameleon/weights.ts';
import { fittingModels } from '../../../src/models/fitting.ts';
import { modelDefinition } from '../../../src/models/registry.ts';
import { loadWeights } from '../../../src/models/weights/load-weights.ts';
import { expectFit, storedShapes } from '../../../src/models/weights/stored-shapes.ts';
import type { Checkpoint } from '../../../src/tensor/checkpoint/checkpoint.ts';
import { Weights } from '../../../src/tensor/checkpoint/weights.ts';
import { FormatError } from '../../../src/tensor/errors.ts';
import type { Runtime } from '../../../src/tensor/runtime.ts';
import { luminaConfig, openLumina, splitCheckpoint } from '../../support/chameleon.ts';
import { luminaTensors, vqganTensors } from '../../support/chameleon-tensors.ts';
import { type Golden, openGolden } from '../../support/golden.ts';
import { memoryTensor } from '../../support/memory-checkpoint.ts';
import { randomValues } from '../../support/random.ts';
import { testRuntime } from '../../support/runtime.ts';

const NORM = /\.([qk])_norm\.(weight|bias)$/;

describe('loading Lumina-mGPT', () => {
  let runtime: Runtime;
  let golden: Golden;
  let config: ChameleonConfig;
  let parts: ReturnType<typeof splitCheckpoint>;
  before(async () => {
    runtime = await testRuntime();
    golden = await openGolden('chameleon');
    config = luminaConfig();
    parts = splitCheckpoint(golden.model);
  });
  after(() => golden.close());

  /** The transformer with random gains and biases of so many rows, other ones in each. */
  function withNormRows(rows: { readonly q: number; readonly k: number }, seed: number): Checkpoint {
    const tensors = new Map(parts.transformer.tensors);
    for (const [index, name] of [...tensors.keys()].entries()) {
      const part = NORM.exec(name)?.[1];
      if (part !== 'q' && part !== 'k') continue;
      const shape = [rows[part], config.headDim];
      tensors.set(name, memoryTensor(name, { shape, values: randomValues(seed + index, rows[part] * config.headDim) }));
    }
    return { ...parts.transformer, tensors };
  }

  const load = async (transformer: Checkpoint, vqgan = parts.vqgan) =>
    await openLumina(runtime, { transformer, vqgan }, { config });

  it('takes the tensors of the released checkpoints, and no others', async () => {
    for (const name of Object.keys(chameleon.presets)) {
      const { parts: defined } = modelDefinition(name);
      for (const [part, expected] of [
        ['checkpoint', luminaTensors()],
        ['vq', vqganTensors()],
      ] as const) {
        const shapes = storedShapes(defined[part]?.weights);
        assert.deepEqual(Object.fromEntries(shapes), Object.fromEntries(expected), `${name}: ${part}`);
      }
    }
  });

  it('knows its checkpoints by their tensors, be the gains of heads one row or one for each', async () => {
    const read = async () => new Uint8Array();
    const checkpoint = (shapes: ReadonlyMap<string, readonly number[]>): Checkpoint => ({
      ...parts.transformer,
      tensors: new Map([...shapes].map(([name, shape]) => [name, { name, dtype: 'bf16', shape, bytes: 0, read }])),
    });
    const names = Object.keys(chameleon.presets);
    for (const [tensors, part] of [
      [luminaTensors(), 'checkpoint'],
      [luminaTensors(32), 'checkpoint'],
      [vqganTensors(), 'vq'],
    ] as const) {
      const skipped = part === 'vq' ? 'encoder.conv_in.weight' : 'model.vqmodel.encoder.conv_in.weight';
      const fits = fittingModels(checkpoint(tensors.set(skipped, [128, 3, 3, 3])));
      assert.deepEqual(
        fits.map((fit) => [fit.definition.name, fit.part]),
        names.map((name) => [name, part]),
      );
    }
    assert.deepEqual(fittingModels(checkpoint(luminaTensors(3))), []);
  });

  it('gives each head the row of gains that serves it', async () => {
    const { heads, kvHeads, headDim } = config;
    const divisors = (count: number) => Array.from({ length: count }, (_, i) => i + 1).filter((n) => count % n === 0);
    const layouts = fc.record({
      q: fc.constantFrom(...divisors(heads)),
      k: fc.constantFrom(...divisors(kvHeads)),
      seed: fc.nat(),
    });
    const check = async ({ q, k, seed }: { q: number; k: number; seed: number }) => {
      const checkpoint = withNormRows({ q, k }, seed);
      const weights = chameleonWeights(config);
      expectFit(weights, checkpoint, CHAMELEON_IGNORED);
      const { layers, dispose } = await loadWeights(runtime, weights, { checkpoint, dtype: 'f32' });
      const stored = new Weights(checkpoint);
      for (const [layer, { qkNorm }] of layers.transformer.blocks.entries()) {
        for (const [kind, tensor] of [
          ['weight', qkNorm!.gain],
          ['bias', qkNorm!.bias],
        ] as const) {
          const row = async (part: string, index: number, shape: readonly [number, number]) =>
            (await stored.values(`model.layers.${layer}.self_attn.${part}_norm.${kind}`, shape)).slice(
              index * headDim,
              (index + 1) * headDim,
            );
          const expected: number[] = [];
          for (let head = 0; head < heads; head++)
            expected.push(...(await row('q', Math.floor((head * q) / heads), [q, headDim])));
          for (let head = 0; head < kvHeads; head++)
            expected.push(...(await row('k', Math.floor((head * k) / kvHeads), [k, headDim])));
          assert.deepEqual([...(await tensor.read())], expected, `layer ${layer}, ${kind}`);
        }
      }
      dispose();
    };
    await fc.assert(fc.asyncProperty(layouts, check), { numRuns: 8 });
  });

  it('refuses checkpoints that lack, misshape or add tensors, and leaves nothing on the GPU', async () => {
    const before = runtime.liveBytes;
    const without = (checkpoint: Checkpoint, lost: string): Checkpoint => ({
      ...checkpoint,
      tensors: new Map([...checkpoint.tensors].filter(([name]) => name !== lost)),
    });
    const { transformer, vqgan } = parts;
    const extra = memoryTensor('extra', { shape: [2], values: new Float32Array(2) });
    const more = (checkpoint: Checkpoint): Checkpoint => ({
      ...checkpoint,
      tensors: new Map([...checkpoint.tensors, ['extra', extra]]),
    });
    const refused: readonly (readonly [Checkpoint, Checkpoint, RegExp])[] = [
      [without(transformer, 'lm_head.weight'), vqgan, /expected a tensor lm_head\.weight \[160, 64\], got none/],
      [withNormRows({ q: 3, k: 1 }, 1), vqgan, /q_norm\.weight: expected \[4, 16\], got \[3, 16\]/],
      [more(transformer), vqgan, /expected no other tensors, got extra \[2\]/],
      [transformer, without(vqgan, 'decoder.mid.attn_1.q.weight'), /expected a tensor decoder\.mid\.attn_1\.q\.weight/],
      [transformer, more(vqgan), /expected no other tensors, got extra \[2\]/],
    ];
    for (const [checkpoint, decoder, message] of refused) {
      await assert.rejects(load(checkpoint, decoder), (error) => {
        assert.ok(error instanceof FormatError);
        assert.match(error.message, message);
        return true;
      });
    }
    await runtime.settled();
    assert.equal(runtime.liveBytes, before);
  });
});
