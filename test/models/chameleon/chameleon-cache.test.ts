import assert from 'node:assert/strict';
import type { KvStore } from '../../../src/cache/kv-store.ts';
import { type CacheOptions, planCache } from '../../../src/cache/policy.ts';
import { trainedGrids } from '../../../src/models/chameleon/size.ts';
import { type BareLumina, loadBareLumina, luminaConfig } from '../../support/chameleon.ts';
import { type Golden, openGolden } from '../../support/golden.ts';
import { testRuntime } from '../../support/runtime.ts';
import { greedy, trace } from '../../support/trace.ts';

const config = luminaConfig();
const CACHE: CacheOptions = { policy: 'line-ar', budgetLines: 4, anchorLines: 1, recentLines: 1 };
/** Ids before the image start. */
const TEXT = [0, 120, 131, 117];
/** Image start and two sizes: all that stands before the image in the unconditional row, which counts positions from there. */
const START = 3;
const CONDITION = TEXT.length + START;

describe('Lumina-mGPT with few lines', () => {
  let golden: Golden;
  let bare: BareLumina;
  before(async () => {
    golden = await openGolden('chameleon');
    bare = await loadBareLumina(await testRuntime(), golden.model, config);
  });
  after(async () => {
    bare.dispose();
    await golden.close();
  });

  /** The size of so many grids, and the grid of tokens it is drawn in. */
  function sized({ across, down }: { readonly across: number; readonly down: number }) {
    const pixels = 2 * bare.model.patch;
    const prompt = { promptTokens: [TEXT], width: across * pixels, height: down * pixels };
    return { prompt, grid: bare.model.grid(prompt) };
  }

  /** Tokens of the image in the live slots of each (row, head) of a layer, ascending. */
  async function liveTokens(store: KvStore, layer: number, lineLength: number): Promise<number[][]> {
    const positions = await store.banks.positions(layer);
    const [free] = store.table.currentPages;
    return Array.from({ length: positions.length / store.slots }, (_, cell) =>
      [...positions.subarray(cell * store.slots, (cell + 1) * store.slots)]
        .filter((_, slot) => slot >= CONDITION && Math.floor((slot - CONDITION) / lineLength) !== free)
        .map((position) => position - (cell < config.kvHeads ? CONDITION : START))
        .sort((a, b) => a - b),
    );
  }

  it('remembers lines of image tokens and their newline: the first, the newest, and as many tokens as a line between', async () => {
    for (const size of trainedGrids(config.grids).filter(({ across, down }) => across !== down && down >= 3)) {
      const { prompt, grid } = sized(size);
      const { lines, lineLength } = grid;
      const { budgetLines, survivors } = planCache(CACHE, grid);
      assert.equal(lineLength, 2 * size.across + 1);
      let compared = 0;

      await trace(
        { ...bare, grid },
        {
          prompt,
          guided: true,
          cache: CACHE,
          choose: (logits, i) => ((i + 1) % lineLength === 0 ? [config.tokens.newline] : drawn(logits)),
          afterLine: async (store, line) => {
            const slots = CONDITION + budgetLines * lineLength;
            // keys and values, of two rows in f32
            assert.equal(store.bytes, 2 * config.layers * 2 * config.kvHeads * slots * config.headDim * 4);
            if (line < budgetLines - 1) return;
            const whole = (from: number) => Array.from({ length: lineLength }, (_, i) => from * lineLength + i);
            for (let layer = 0; layer < config.layers; layer++)
              for (const tokens of await liveTokens(store, layer, lineLength)) {
                assert.deepEqual(tokens.slice(0, lineLength), whole(0), `line ${line}: the anchor`);
                assert.deepEqual(tokens.slice(-lineLength), whole(line), `line ${line}: the newest`);
                assert.equal(tokens.length, 2 * lineLength + survivors);
                assert.equal(new Set(tokens).size, tokens.length);
                compared++;
              }
          },
        },
      );

      assert.equal(compared, (lines - budgetLines) * config.layers * 2 * config.kvHeads);
    }
  });

  it('with a budget of all lines gives the logits of the full cache bit for bit', async () => {
    const { prompt, grid } = sized({ across: config.grids, down: config.grids });
    const choose = (logits: Float32Array, i: number) =>
      (i + 1) % grid.lineLength === 0 ? [config.tokens.newline] : drawn(logits);
    const options = { prompt, guided: true, choose } as const;
    const full = await trace({ ...bare, grid }, options);
    const budgeted = await trace({ ...bare, grid }, { ...options, cache: { ...CACHE, budgetLines: grid.lines } });
    for (const [i, entry] of full.entries()) assert.deepEqual(budgeted[i]!.logits, entry.logits, `step ${i}`);
  });

  /** Ids of image tokens: logits begin at the first code. */
  function drawn(logits: Float32Array): number[] {
    return greedy(logits, 1, 3).map((code) => code + config.tokens.firstCode);
  }
});
