import assert from 'node:assert/strict';
import type { KvStore } from '../../src/cache/kv-store.ts';
import type { CacheOptions } from '../../src/cache/policy.ts';
import type { LlamaGenPrompt } from '../../src/models/llamagen/condition.ts';
import { close } from '../support/close.ts';
import { type Golden, openGolden } from '../support/golden.ts';
import { testRuntime } from '../support/runtime.ts';
import { goldenConfig, greedy, loadBare, type Taps, type TraceOptions, trace } from '../support/trace.ts';

const SIDE = 10;

const SETTINGS: Readonly<Record<string, CacheOptions>> = {
  'lineAR-own-a': { policy: 'line-ar', budgetLines: 5, anchorLines: 1, recentLines: 2, scoreScope: 'head' },
  'lineAR-own-b': { policy: 'line-ar', budgetLines: 4, anchorLines: 1, recentLines: 1, scoreScope: 'layer' },
};

/** Positions in the live slots of each (row, head) of a layer, ascending, the condition's included. */
async function livePositions(store: KvStore, layer: number, rows: number, heads: number): Promise<number[][]> {
  const positions = await store.banks.positions(layer);
  const [free] = store.table.currentPages;
  const live = (slot: number) => slot < 1 || Math.floor((slot - 1) / SIDE) !== free;
  return Array.from({ length: rows * heads }, (_, cell) =>
    [...positions.subarray(cell * store.slots, (cell + 1) * store.slots)]
      .filter((_, slot) => live(slot))
      .sort((a, b) => a - b),
  );
}

for (const [folder, cache] of Object.entries(SETTINGS)) {
  describe(`LineAR on the GPU, ${folder}`, () => {
    let golden: Golden;
    let model: Awaited<ReturnType<typeof loadBare>>;
    let classes: number[];
    const heads = 4;
    const layers = 3;
    before(async () => {
      golden = await openGolden(folder, 'llamagen-c2i');
      classes = Array.from(await golden.values('class_ids'));
      model = await loadBare(await testRuntime(), golden.model, { ...goldenConfig('llamagen-c2i'), side: SIDE });
    });
    after(async () => {
      model.dispose();
      await golden.close();
    });

    const run = (options: CacheOptions, hooks: Partial<TraceOptions<LlamaGenPrompt>> = {}) =>
      trace(model, {
        prompt: { classes },
        guided: true,
        cache: options,
        choose: (logits) => greedy(logits, 1, 2),
        ...hooks,
      });
    const tokens = (entries: readonly Taps[]) => entries.map(({ logits }) => greedy(logits, 1, 2)[0]!);

    it('scores, keeps and draws as the independent run of the same rules', async () => {
      const events = Array.from(await golden.values('event_line'));
      const scores = Float32Array.from(await golden.values('scores'));
      const kept = Array.from(await golden.values('kept_positions'));
      const candidates = await golden.values('event_candidates');
      const keptCount = golden.shape('kept_positions').at(-1)!;
      let compared = 0;
      const compareKept = async (store: KvStore, event: number) => {
        for (let layer = 0; layer < layers; layer++) {
          const cells = await livePositions(store, layer, 2, heads);
          for (const [cell, positions] of cells.entries()) {
            const [row, head] = [Math.floor(cell / heads), cell % heads];
            const at = ((event * 2 + row) * layers + layer) * heads + head;
            assert.deepEqual(
              positions,
              kept.slice(at * keptCount, (at + 1) * keptCount),
              `event ${event}, layer ${layer}, row ${row}, head ${head}`,
            );
            compared++;
          }
        }
      };
      const compareScores = async (store: KvStore, event: number) => {
        for (let layer = 0; layer < layers; layer++) {
          const [ours, positions] = [await store.banks.scores(layer), await store.banks.positions(layer)];
          for (let cell = 0; cell < 2 * heads; cell++) {
            const [row, head] = [Math.floor(cell / heads), cell % heads];
            const at = (((event * 2 + row) * layers + layer) * heads + head) * 101;
            const expected: number[] = [];
            const actual: number[] = [];
            for (let slot = 1; slot < store.slots; slot++) {
              const position = positions[cell * store.slots + slot]!;
              const theirs = scores[at + position]!;
              if (theirs === 0) continue; // no candidate
              expected.push(theirs);
              // with scope layer the fixture holds the mean over heads, which ours takes when it selects
              const heap = cache.scoreScope === 'layer' ? Array.from({ length: heads }, (_, g) => g) : [head];
              const sum = heap.reduce((total, g) => total + ours[(row * heads + g) * store.slots + slot]!, 0);
              actual.push(sum / heap.length);
            }
            assert.equal(expected.length, candidates[event]);
            close(actual, expected, { absolute: 2e-6, relative: 1e-4 }, `scores of event ${event}`);
          }
        }
      };
      const entries = await run(cache, {
        afterToken: async (store, token) => {
          const line = Math.floor(token / SIDE);
          const event = (token + 1) % SIDE === 0 ? events.indexOf(line) : -1;
          if (event < 0) return;
          await compareScores(store, event);
        },
        afterLine: async (store, line) => {
          const event = events.indexOf(line);
          if (event >= 0) await compareKept(store, event);
        },
      });
      assert.equal(compared, events.length * layers * 2 * heads);
      assert.deepEqual(tokens(entries), Array.from(await golden.values('tokens')));
      const logits = Float32Array.from(
        [0, 1].flatMap((row) => entries.flatMap((entry) => [...entry.logits.subarray(row * 256, (row + 1) * 256)])),
      );
      close(logits, await golden.values('logits'), { absolute: 2e-4, relative: 1e-4 }, 'logits');
    });

    it('8. with a budget of all lines gives the full cache bit for bit, and the reference tokens', async () => {
      const full = await run({});
      const budgeted = await run({ ...cache, budgetLines: SIDE });
      for (const [i, entry] of full.entries()) assert.deepEqual(budgeted[i]!.logits, entry.logits, `step ${i}`);
      assert.deepEqual(tokens(full), Array.from(await golden.values('tokens_full_cache')));
    });

    it('streaming keeps the anchors and the newest lines, and until it evicts draws as the full cache', async () => {
      const budgetLines = cache.budgetLines ?? SIDE;
      const reference = Array.from(await golden.values('tokens_full_cache'));
      let compared = 0;
      const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

      const entries = await run(
        { policy: 'streaming', budgetLines, anchorLines: 1 },
        {
          afterLine: async (store, line) => {
            if (line < budgetLines - 1) return;
            const newest = range(1 + (line + 3 - budgetLines) * SIDE, 1 + (line + 1) * SIDE);
            for (let layer = 0; layer < layers; layer++)
              for (const positions of await livePositions(store, layer, 2, heads)) {
                assert.deepEqual(positions, [...range(0, 1 + SIDE), ...newest], `line ${line}, layer ${layer}`);
                compared++;
              }
          },
        },
      );

      assert.equal(compared, (SIDE - budgetLines) * layers * 2 * heads);
      const drawn = tokens(entries);
      const whole = budgetLines * SIDE + 1;
      assert.deepEqual(drawn.slice(0, whole), reference.slice(0, whole));
      assert.notDeepEqual(drawn, reference);
    });
  });
}
