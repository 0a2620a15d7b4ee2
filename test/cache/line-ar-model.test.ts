import assert from 'node:assert/strict';
import { type CacheOptions, planCache } from '../../src/cache/policy.ts';
import { type Golden, openGolden } from '../support/golden.ts';
import { INVARIANTS } from '../support/store-invariants.ts';
import { storeHistory } from '../support/store-run.ts';

const SIDE = 10;
/** The class token: cache position 0. */
const CONDITION = 1;

const SETTINGS: Readonly<Record<string, CacheOptions>> = {
  'lineAR-own-a': { policy: 'line-ar', budgetLines: 5, anchorLines: 1, recentLines: 2, scoreScope: 'head' },
  'lineAR-own-b': { policy: 'line-ar', budgetLines: 4, anchorLines: 1, recentLines: 1, scoreScope: 'layer' },
};

for (const [folder, cache] of Object.entries(SETTINGS)) {
  describe(`LineAR on plain models, ${folder}`, () => {
    let golden: Golden;
    before(async () => {
      golden = await openGolden(folder, 'llamagen-c2i');
    });
    after(() => golden.close());

    it('evicts after the lines that the independent run evicted after, and as many tokens', async () => {
      const { budgetLines, survivors } = planCache(cache, { lines: SIDE, lineLength: SIDE });
      const lines = Array.from({ length: SIDE - budgetLines }, (_, i) => budgetLines - 1 + i);
      assert.deepEqual(Array.from(await golden.values('event_line')), lines);
      const each = async (name: string) => [...new Set(Array.from(await golden.values(name)))];
      assert.deepEqual(await each('event_candidates'), [survivors + SIDE]);
      assert.deepEqual(await each('event_mid_kept'), [survivors]);
    });

    it('given the scores of the independent run, keeps what that kept after every eviction', async () => {
      const events = Array.from(await golden.values('event_line'));
      const [scores, kept] = [await golden.values('scores'), Array.from(await golden.values('kept_positions'))];
      const [, rows, layers, heads, keptCount] = golden.shape('kept_positions') as [number, ...number[]];
      const positions = golden.shape('scores').at(-1)!;
      const cells = rows! * layers! * heads!;
      let compared = 0;
      for (let cell = 0; cell < cells; cell++) {
        const score = (line: number, position: number) => {
          const event = events.indexOf(line);
          return event < 0 ? 0 : scores[(event * cells + cell) * positions + CONDITION + position]!;
        };
        const history = storeHistory({ lines: SIDE, lineLength: SIDE, condition: CONDITION, cache }, score);
        for (const check of Object.values(INVARIANTS)) check(history);
        for (const moment of history.moments) {
          const event = moment.kind === 'line' ? events.indexOf(moment.line) : -1;
          if (event < 0) continue;
          const first = (event * cells + cell) * keptCount!;
          const expected = kept.slice(first, first + keptCount!);
          const inSlots = moment.tokens.filter((token) => token >= 0).sort((a, b) => a - b);
          assert.deepEqual(inSlots, expected, `event ${event}, cell ${cell}: slots`);
          assert.deepEqual([0, ...moment.regions], expected, `event ${event}, cell ${cell}: regions`);
          compared++;
        }
      }
      assert.equal(compared, events.length * cells);
    });
  });
}
