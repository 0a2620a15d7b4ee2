import assert from 'node:assert/strict';
import fc from 'fast-check';
import { PHILOX } from '../../src/kernels/philox.ts';
import { resolveSampling, SAMPLING_OPTIONS, Sampler, type SamplingOptions } from '../../src/sampler.ts';
import { NotFiniteError, OptionError } from '../../src/tensor/errors.ts';
import { defineKernel } from '../../src/tensor/kernel.ts';
import { pickOptions } from '../../src/tensor/options.ts';
import type { Runtime } from '../../src/tensor/runtime.ts';
import { filteredProbabilities, guide, philox } from '../oracle/sample.ts';
import { close } from '../support/close.ts';
import { randomValues } from '../support/random.ts';
import { testRuntime } from '../support/runtime.ts';

interface Drawn {
  /** Not normalized, [B, V]. */
  readonly weights: Float32Array;
  readonly tokens: readonly Uint32Array[];
}

/** Draws `positions` tokens of each image, always from the same logits [R, V]. */
async function draw(
  runtime: Runtime,
  logits: Float32Array<ArrayBuffer>,
  vocabulary: number,
  positions: number,
  options: SamplingOptions,
  range: { readonly first?: number; readonly lineLength?: number; readonly lineEnd?: number } = {},
): Promise<Drawn> {
  const sampling = resolveSampling(pickOptions(SAMPLING_OPTIONS, options), {});
  const rows = logits.length / vocabulary;
  using input = runtime.tensor([rows, vocabulary], 'f32', 'logits', logits);
  const { lineLength = positions, ...ids } = range;
  const drawn = { first: 0, count: vocabulary, lines: positions / lineLength, lineLength, ...ids };
  using sampler = Sampler.open(runtime, sampling.guidanceScale > 1 ? rows / 2 : rows, { range: drawn, sampling });
  using program = await runtime.record('draw', () => sampler.next(input));
  for (let i = 0; i < positions; i++) program.run();
  return { weights: (await program.result.read()) as Float32Array, tokens: await sampler.read() };
}

function normalized(weights: Float32Array): Float64Array {
  const sum = weights.reduce((total, w) => total + w, 0);
  return Float64Array.from(weights, (w) => w / sum);
}

const filters = fc.record({
  vocabulary: fc.constantFrom(1, 2, 255, 256, 257, 700),
  temperature: fc.constantFrom(0.3, 1, 2.5),
  topK: fc.constantFrom(0, 1, 2, 50, 256, 1000),
  topP: fc.constantFrom(0.001, 0.3, 0.9, 0.99, 1),
  seed: fc.nat(),
});

describe('sample', () => {
  it('keeps exactly what temperature, top-k and top-p keep, with their probabilities', async () => {
    const runtime = await testRuntime();
    const check = async (f: { vocabulary: number; temperature: number; topK: number; topP: number; seed: number }) => {
      const logits = randomValues(f.seed, f.vocabulary).map((v) => 6 * v);
      const { weights } = await draw(runtime, logits, f.vocabulary, 1, f);
      // exp in f32 of values up to 40 below the largest: 40 · 2^-24, and the same for sums
      close(normalized(weights), filteredProbabilities(logits, f), { absolute: 1e-5 });
    };
    await fc.assert(fc.asyncProperty(filters, check), { numRuns: 40 });
  });

  it('keeps all tokens that tie with the k-th', async () => {
    const { weights } = await draw(await testRuntime(), Float32Array.of(1, 3, 2, 2, 0, 2), 6, 1, { topK: 2 });
    assert.deepEqual(
      [...weights].map((w) => w > 0),
      [false, true, true, true, false, true],
    );
  });

  it('takes the largest logit at temperature 0, the first of equals', async () => {
    const logits = Float32Array.of(1, 5, -2, 5, 0, -9, -9, -9);
    const { tokens } = await draw(await testRuntime(), logits, 4, 2, { temperature: 0 });
    assert.deepEqual(
      tokens.map((image) => [...image]),
      [
        [1, 1],
        [0, 0],
      ],
    );
  });

  it('counts ids from the first on, and gives the end of every line without a choice', async () => {
    const logits = Float32Array.of(1, 5, -2, 4);
    const range = { first: 40, lineLength: 3, lineEnd: 7 };
    const { tokens } = await draw(await testRuntime(), logits, 4, 6, { temperature: 0 }, range);
    assert.deepEqual([...tokens[0]!], [41, 41, 7, 41, 41, 7]);
  });

  it('mixes conditional and unconditional logits, until the interval ends', async () => {
    const runtime = await testRuntime();
    const [cond, uncond] = [randomValues(1, 64), randomValues(2, 64)];
    const logits = Float32Array.from([...cond, ...uncond]);
    const expected = guide(cond, uncond, 3.5);
    const { weights } = await draw(runtime, logits, 64, 1, { guidanceScale: 3.5 });
    close(normalized(weights), filteredProbabilities(expected, { temperature: 1, topK: 0, topP: 1 }), {
      absolute: 1e-5,
    });
    const best = (values: Float32Array) => values.indexOf(Math.max(...values));
    assert.notEqual(best(expected), best(cond));
    const { tokens } = await draw(runtime, logits, 64, 5, { guidanceScale: 3.5, cfgInterval: 1, temperature: 0 });
    assert.deepEqual([...tokens[0]!], [best(expected), best(expected), best(expected), best(cond), best(cond)]);
  });

  it('draws each token as often as its probability says', async () => {
    const logits = Float32Array.from([0.5, 0.25, 0.125, 0.0625, 0.0625], Math.log);
    const { tokens } = await draw(await testRuntime(), logits, 5, 2000, { seed: 11 });
    const counts = [0, 0, 0, 0, 0];
    for (const token of tokens[0]!) counts[token]!++;
    // five standard deviations of a binomial of 2000
    counts.forEach((count, token) => {
      const p = Math.exp(logits[token]!);
      assert.ok(Math.abs(count - 2000 * p) < 5 * Math.sqrt(2000 * p * (1 - p)), `token ${token}: ${count} of 2000`);
    });
  });

  it('gives an image the same tokens whatever else is in the batch', async () => {
    const runtime = await testRuntime();
    const logits = randomValues(3, 100);
    const three = await draw(runtime, Float32Array.from([...logits, ...logits, ...logits]), 100, 20, {
      seed: 2 ** 40 + 5,
    });
    const alone = await draw(runtime, logits, 100, 20, { seed: 2 ** 40 + 5, firstImage: 2 });
    assert.deepEqual(alone.tokens[0], three.tokens[2]);
    assert.notDeepEqual(three.tokens[0], three.tokens[1]);
    const other = await draw(runtime, logits, 100, 20, { seed: 5, firstImage: 2 });
    assert.notDeepEqual(other.tokens[0], alone.tokens[0]);
  });

  it('is Philox 4x32-10, word for word', async () => {
    const runtime = await testRuntime();
    const kernel = defineKernel(
      'philoxTest',
      { input: 'read u32', y: 'write u32' },
      `${PHILOX}
@compute @workgroup_size(1) fn main(@builtin(workgroup_id) group: vec3u) {
  let i = 6 * group.x;
  let r = philox(vec4u(input[i], input[i + 1], input[i + 2], input[i + 3]), vec2u(input[i + 4], input[i + 5]));
  for (var k = 0u; k < 4; k++) { y[4 * group.x + k] = r[k]; }
}`,
    );
    const word = fc.nat({ max: 2 ** 32 - 1 });
    const vectors = [
      ...fc.sample(fc.array(word, { minLength: 6, maxLength: 6 }), { numRuns: 100, seed: 1 }),
      [0, 0, 0, 0, 0, 0],
    ];
    using input = runtime.tensor([vectors.length, 6], 'u32', 'input', Uint32Array.from(vectors.flat()));
    using program = await runtime.record('philox', () => {
      const y = runtime.result([vectors.length, 4], 'u32', 'y');
      runtime.dispatch(kernel, { input, y }, {}, [vectors.length]);
      return y;
    });
    program.run();
    const expected = vectors.flatMap((v) => philox(v.slice(0, 4), v.slice(4)));
    assert.deepEqual([...(await program.result.read())], expected);
    // the published vector of Random123 for a counter and key of zeros
    assert.deepEqual(expected.slice(-4), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  });

  it('names the first token whose logits were no finite numbers, and still gives one that there is', async () => {
    const runtime = await testRuntime();
    const sampling = resolveSampling({}, {});
    const range = { first: 40, count: 300, lines: 1, lineLength: 4 };
    for (const temperature of [0, 1]) {
      for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const all = wrong === Number.NEGATIVE_INFINITY ? [299] : Array.from({ length: 300 }, (_, i) => i);
        using logits = runtime.tensor([2, 300], 'f32', 'logits', randomValues(4, 600));
        using sampler = Sampler.open(runtime, 2, { range, sampling: { ...sampling, temperature } });
        using program = await runtime.record('draw', () => sampler.next(logits));
        runtime.runAndCopy([program], [sampler.check]);
        await sampler.settled();

        const values = randomValues(4, 600);
        for (const at of all) values[300 + at] = wrong;
        logits.write(values);
        for (let i = 0; i < 2; i++) runtime.runAndCopy([program], [sampler.check]);

        await assert.rejects(sampler.settled(), (error) => {
          assert.ok(error instanceof NotFiniteError);
          assert.deepEqual([error.image, error.token], [1, 1]);
          return true;
        });
        for (const token of (await sampler.read())[1]!.subarray(0, 3))
          assert.ok(token >= 40 && token < 340, `${token}`);
      }
    }
  });

  it('refuses options out of range by name', () => {
    const wrong: SamplingOptions[] = [
      { temperature: -1 },
      { topP: 0 },
      { topP: 1.5 },
      { topK: 1.5 },
      { seed: -1 },
      { seed: 2 ** 60 },
      { guidanceScale: Number.NaN },
      { cfgInterval: -2 },
    ];
    for (const options of wrong) {
      const [name] = Object.keys(options);
      assert.throws(
        () => resolveSampling(options, {}),
        (error) => error instanceof OptionError && error.message.startsWith(`${name}: expected`),
      );
    }
  });
});
