import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type CacheOptions, type EvictionPolicy, planCache } from '../../src/cache/policy.ts';
import { OptionError } from '../../src/tensor/errors.ts';

const SQUARE = { lines: 16, lineLength: 16 };

/** A policy of a caller's. */
const own = (parts: Partial<EvictionPolicy>): EvictionPolicy => ({
  name: 'own',
  observe: 'nothing',
  score: 'fn score(c: Candidate) -> f32 { return f32(c.token); }',
  ...parts,
});

describe('cache options', () => {
  it('refuse what is out of range, naming the option', () => {
    const wrong: readonly (readonly [CacheOptions, string])[] = [
      [{ policy: 'lru' as never }, 'cache.policy'],
      [{ policy: 'toString' as never }, 'cache.policy'],
      [{ budgetLines: 2 }, 'cache.budgetLines'],
      [{ budgetLines: 0 }, 'cache.budgetLines'],
      [{ budgetLines: 4.5 }, 'cache.budgetLines'],
      [{ budgetLines: 4, anchorLines: -1 }, 'cache.anchorLines'],
      [{ budgetLines: 4, recentLines: 3 }, 'cache.budgetLines'],
      [{ budgetLines: 4, recentLines: Number.NaN }, 'cache.recentLines'],
      [{ policy: 'full', budgetLines: 4 }, 'cache.budgetLines'],
      [{ budgetLines: 4, scoreScope: 'row' as never }, 'cache.scoreScope'],
      [{ budgetLines: 4, rowScope: 'head' as never }, 'cache.rowScope'],
      [{ budgetLines: 4, anchorTokens: 33 }, 'cache.budgetLines'],
      [{ budgetLines: 4, anchorTokens: 4, anchorLines: 1 }, 'cache.anchorLines'],
      [{ budgetLines: 4, anchorTokens: 4, summaries: 29 }, 'cache.summaries'],
      [{ budgetLines: 3, policy: 'streaming', summaries: 1 }, 'cache.summaries'],
      [{ budgetLines: 4, policy: {} as never }, 'cache.policy'],
      [{ budgetLines: 4, policy: own({ observe: { queries: 17 } }) }, 'cache.policy'],
      [{ budgetLines: 4, policy: own({ observe: { queries: 0 } }) }, 'cache.policy'],
      [{ budgetLines: 4, policy: own({ observe: { queries: 'column' as never } }) }, 'cache.policy'],
      [{ budgetLines: 4, policy: own({ observe: 'everything' as never }) }, 'cache.policy'],
      [{ budgetLines: 4, policy: own({ observe: () => null as never }) }, 'cache.policy'],
      [{ budgetLines: 4, policy: own({ score: 1 as never }) }, 'cache.policy'],
      [{ budgetLines: 4, policy: own({ anchorTokens: () => 1.5 }) }, 'cache.anchorTokens'],
      [{ budgetLines: 4, policy: own({ recent: () => Number.NaN }) }, 'cache.policy: recent'],
    ];
    for (const [options, place] of wrong) {
      assert.throws(
        () => planCache(options, SQUARE),
        (error) => error instanceof OptionError && error.message.startsWith(`${place}: expected`),
        JSON.stringify(options),
      );
    }
  });

  it('refuse any count that is not whole or too small, naming the option and the value', () => {
    const counts = ['budgetLines', 'anchorLines', 'anchorTokens', 'recentLines', 'summaries'] as const;
    const wrong = fc.oneof(
      fc.integer({ max: -1 }),
      fc.double({ noInteger: true }),
      fc.constantFrom(Number.POSITIVE_INFINITY, 2 ** 53),
    );
    const property = (name: (typeof counts)[number], value: number, lines: number) => {
      assert.throws(
        () => planCache({ policy: 'line-ar', budgetLines: 4, [name]: value }, { lines, lineLength: 8 }),
        (error) =>
          error instanceof OptionError &&
          error.message.startsWith(`cache.${name}: expected a whole number`) &&
          error.message.includes(`got ${value}`),
      );
    };
    fc.assert(fc.property(fc.constantFrom(...counts), wrong, fc.integer({ min: 1, max: 64 }), property), {
      numRuns: 1000,
    });
  });

  it('refuse a budget below anchors, recent lines and the line being drawn, unless it holds the image', () => {
    const small = fc.nat({ max: 6 });
    const property = (anchorLines: number, recentLines: number, missing: number, policy: 'line-ar' | 'streaming') => {
      const least = anchorLines + recentLines + 1;
      const budgetLines = Math.max(1, least - 1 - missing);
      fc.pre(budgetLines < least);
      const options = { policy, budgetLines, anchorLines, recentLines };
      assert.throws(
        () => planCache(options, { lines: budgetLines + 1, lineLength: 8 }),
        (error) =>
          error instanceof OptionError &&
          error.message.startsWith(`cache.budgetLines: expected at least ${least} `) &&
          error.message.includes(`got ${budgetLines};`),
      );
      assert.equal(planCache(options, { lines: budgetLines, lineLength: 8 }).budgetLines, budgetLines);
    };
    const policies = fc.constantFrom('line-ar' as const, 'streaming' as const);
    fc.assert(fc.property(small, small, small, policies, property), { numRuns: 1000 });
  });

  it('give every slot of the budget to exactly one region', () => {
    const check = (
      lines: number,
      anchorLines: number,
      recentLines: number,
      extra: number,
      policy: 'line-ar' | 'streaming',
      lineLength: number,
      share: number,
    ) => {
      const summaries = Math.floor(share * extra * lineLength);
      const budgetLines = anchorLines + recentLines + 1 + extra;
      const plan = planCache({ policy, budgetLines, anchorLines, recentLines, summaries }, { lines, lineLength });
      if (budgetLines >= lines) {
        assert.deepEqual([plan.budgetLines, plan.keptLines, plan.survivors, plan.summaries], [lines, 0, 0, 0]);
      } else {
        assert.equal(plan.keptLines + plan.recentLines + 1, budgetLines);
        assert.equal(plan.anchorTokens + plan.survivors + plan.summaries, plan.keptLines * lineLength);
        assert.deepEqual([plan.anchorTokens, plan.summaries], [anchorLines * lineLength, summaries]);
        assert.ok(plan.recentLines >= recentLines);
        if (policy === 'streaming') assert.ok(plan.survivors < lineLength);
        assert.equal(plan.observe === 'nothing', policy === 'streaming' || plan.survivors === 0);
      }
    };
    const small = fc.nat({ max: 6 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        small,
        small,
        small,
        fc.constantFrom('line-ar' as const, 'streaming' as const),
        fc.integer({ min: 1, max: 9 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        check,
      ),
      { numRuns: 1000 },
    );
  });

  it('keep everything unless a budget is given', () => {
    const { policy, budgetLines, observe } = planCache({}, SQUARE);
    assert.deepEqual([policy.name, budgetLines, observe], ['full', 16, 'nothing']);
    assert.equal(planCache({ budgetLines: 4 }, SQUARE).policy.name, 'summary');
  });

  it('pin by default the first eight tokens, and beyond a quarter of the image half of the kept lines', () => {
    const wanted = [
      [16, 3, 4, 4],
      [16, 4, 8, 6],
      [16, 5, 16, 6],
      [16, 8, 48, 6],
      [24, 6, 8, 6],
      [24, 8, 48, 6],
      [3, 2, 4, 4],
    ] as const;
    for (const [lines, budgetLines, ...counts] of wanted) {
      const { anchorTokens, summaries } = planCache(
        { budgetLines, recentLines: budgetLines > 2 ? 1 : 0 },
        { lines, lineLength: 16 },
      );
      assert.deepEqual([anchorTokens, summaries], counts, `${budgetLines} of ${lines}`);
    }
  });

  it('have defaults that fit into every budget with a line to keep', () => {
    const property = (lines: number, lineLength: number, recentLines: number, extra: number) => {
      const plan = planCache({ budgetLines: recentLines + 2 + extra, recentLines }, { lines, lineLength });
      if (plan.keptLines > 0) assert.ok(plan.survivors >= plan.summaries, `${plan.survivors} ${plan.summaries}`);
    };
    const small = fc.nat({ max: 12 });
    const from1 = fc.integer({ min: 1, max: 40 });
    fc.assert(fc.property(from1, from1, small, small, property), { numRuns: 1000 });
  });

  it('names the new name of a policy that has been renamed', () => {
    assert.throws(() => planCache({ policy: 'linear' as never, budgetLines: 4 }, SQUARE), /expected line-ar/);
  });
});
