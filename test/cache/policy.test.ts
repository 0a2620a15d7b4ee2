import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type CacheOptions, planCache } from '../../src/cache/policy.ts';
import { OptionError } from '../../src/tensor/errors.ts';

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
    ];
    for (const [options, place] of wrong) {
      assert.throws(
        () => planCache(options, 16),
        (error) => error instanceof OptionError && error.message.startsWith(`${place}: expected`),
        JSON.stringify(options),
      );
    }
  });

  it('refuse any count that is not whole or too small, naming the option and the value', () => {
    const counts = ['budgetLines', 'anchorLines', 'recentLines'] as const;
    const wrong = fc.oneof(
      fc.integer({ max: -1 }),
      fc.double({ noInteger: true }),
      fc.constantFrom(Number.POSITIVE_INFINITY, 2 ** 53),
    );
    const property = (name: (typeof counts)[number], value: number, lines: number) => {
      assert.throws(
        () => planCache({ policy: 'line-ar', budgetLines: 4, [name]: value }, lines),
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
        () => planCache(options, budgetLines + 1),
        (error) =>
          error instanceof OptionError &&
          error.message.startsWith(`cache.budgetLines: expected at least ${least} `) &&
          error.message.includes(`got ${budgetLines};`),
      );
      assert.equal(planCache(options, budgetLines).budgetLines, budgetLines);
    };
    const policies = fc.constantFrom('line-ar' as const, 'streaming' as const);
    fc.assert(fc.property(small, small, small, policies, property), { numRuns: 1000 });
  });

  it('give every line of the budget to exactly one region', () => {
    const check = (
      lines: number,
      anchorLines: number,
      recentLines: number,
      extra: number,
      policy: 'line-ar' | 'streaming',
    ) => {
      const budgetLines = anchorLines + recentLines + 1 + extra;
      const plan = planCache({ policy, budgetLines, anchorLines, recentLines }, lines);
      if (budgetLines >= lines) {
        assert.deepEqual([plan.budgetLines, plan.middleLines, plan.scored], [lines, 0, false]);
      } else {
        assert.equal(plan.anchorLines + plan.middleLines + plan.recentLines + 1, budgetLines);
        assert.equal(plan.middleLines, policy === 'line-ar' ? extra : 0);
        assert.ok(plan.recentLines >= recentLines);
        assert.equal(plan.scored, plan.middleLines > 0);
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
        check,
      ),
      { numRuns: 1000 },
    );
  });

  it('keep everything unless a budget is given', () => {
    const { policy, budgetLines, scored } = planCache({}, 24);
    assert.deepEqual([policy, budgetLines, scored], ['full', 24, false]);
    assert.equal(planCache({ budgetLines: 4 }, 24).policy, 'line-ar');
  });

  it('names the new name of a policy that has been renamed', () => {
    assert.throws(() => planCache({ policy: 'linear' as never, budgetLines: 4 }, 24), /expected line-ar/);
  });
});
