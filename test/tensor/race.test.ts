import assert from 'node:assert/strict';
import { DeviceError } from '../../src/tensor/errors.ts';
import { defineKernel } from '../../src/tensor/kernel.ts';
import { raceCandidates, type TuneProgress } from '../../src/tensor/race.ts';
import { Runtime } from '../../src/tensor/runtime.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

/** Writes VALUE, after COST steps that nothing may leave out. */
const fill = defineKernel(
  'fill',
  { y: 'write f32' },
  `@compute @workgroup_size(4)
fn main(@builtin(local_invocation_index) i: u32) {
  for (var n = 0u; n < u32(COST); n++) { y[i] = f32(n % 7u); }
  y[i] = f32(VALUE);
}`,
);

describe('a race of candidates', () => {
  let runtime: Runtime;
  before(async () => {
    runtime = await Runtime.open({ driver: 'swiftshader', tuning: 'priors' });
  });
  after(() => runtime.dispose());

  /** One problem, and a candidate for each of `made`. */
  const problem = (name: string, made: readonly { readonly VALUE: number; readonly COST: number }[]) => (): Tensor => {
    const y = runtime.result([4], 'f32', 'y');
    const candidates = made.map((constants) => ({
      name: `value ${constants.VALUE}, cost ${constants.COST}`,
      kernel: fill,
      tensors: { y },
      constants,
      workgroups: [1],
    }));
    runtime.dispatchBest(name, candidates);
    return y;
  };

  it('is won by the fastest, which later recordings take', async () => {
    const build = problem('costly', [
      { VALUE: 1, COST: 400_000 },
      { VALUE: 1, COST: 1 },
    ]);
    const seen: TuneProgress[] = [];

    const tuned = await raceCandidates(runtime, [build], { onProgress: (progress) => seen.push(progress) });

    assert.deepEqual(
      tuned.map(({ chosen }) => chosen),
      ['value 1, cost 1'],
    );
    assert.deepEqual(Object.keys(tuned[0]!.medianMs), ['value 1, cost 400000', 'value 1, cost 1']);
    assert.deepEqual(
      seen,
      [0, 1].map((done) => ({ done, total: 1, problem: 'costly' })),
    );
    using program = await runtime.record('later', build);
    assert.match(program.listing()[0] ?? '', /COST=1 /);
  });

  it('refuses a candidate that gives other bits than the first, however fast it is', async () => {
    const build = problem('wrong', [
      { VALUE: 1, COST: 400_000 },
      { VALUE: 2, COST: 1 },
    ]);

    const [tuned] = await raceCandidates(runtime, [build]);

    assert.equal(tuned?.chosen, 'value 1, cost 400000');
    assert.match(
      tuned?.refused['value 2, cost 1'] ?? '',
      /wrong: expected value 2, cost 1 to give the bits of value 1, cost 400000, 1 at 0, got 2/,
    );
  });

  it('tries a problem of several programs once, and one without a choice never', async () => {
    const only = problem('only', [{ VALUE: 1, COST: 1 }]);
    const both = problem('both', [
      { VALUE: 1, COST: 1 },
      { VALUE: 1, COST: 2 },
    ]);

    const tuned = await raceCandidates(runtime, [only, both, both]);

    assert.deepEqual(
      tuned.map((one) => one.problem),
      ['both'],
    );
  });

  it('ends at the signal with its reason, and with the error where the first candidate fails', async () => {
    const build = problem('ended', [
      { VALUE: 1, COST: 1 },
      { VALUE: 1, COST: 2 },
    ]);
    await assert.rejects(
      raceCandidates(runtime, [build], { signal: AbortSignal.abort(new Error('enough')) }),
      /enough/,
    );

    const broken = problem('broken', [
      { VALUE: Number.NaN, COST: 1 },
      { VALUE: 1, COST: 2 },
    ]);
    await assert.rejects(raceCandidates(runtime, [broken]), DeviceError);
  });
});
