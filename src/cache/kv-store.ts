/**
 * The store of keys and values: a ring of line pages, allocated once.
 *
 * A `PageTable` decides on the CPU where a token goes and which page a line end frees; which tokens survive is decided on
 * the GPU. Nothing is read back. Both memories have the one method that a model asks for, `attend`.
 */

import { addScores } from '../kernels/attention/add-scores.ts';
import { appendPrefill } from '../kernels/attention/append.ts';
import { decodeAttention } from '../kernels/attention/decode.ts';
import { evict } from '../kernels/attention/evict.ts';
import { shareScores } from '../kernels/attention/share-scores.ts';
import { type AttentionShape, type Rotation, type Step, stepLength, stepWords } from '../kernels/attention/slots.ts';
import { assert } from '../tensor/errors.ts';
import type { Program } from '../tensor/program.ts';
import type { Runtime } from '../tensor/runtime.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { expectScore } from './expect-score.ts';
import { observation, observedLine } from './observation.ts';
import { type LineEnd, PageTable, type Placement } from './page-table.ts';
import type { CachePlan } from './policy.ts';
import { SlotBanks } from './slot-banks.ts';
import { type StoreShape, scoredLanes, storeBytes, storeSlots } from './store-shape.ts';

export class KvStore {
  readonly slots: number;
  /** Bytes of keys and values. */
  readonly bytes: number;
  /** Memory of a prefill (all condition tokens at once, causal), and of lines (one token a row and line in flight, scored). */
  readonly prefill = {
    attend: (layer: number, qkv: Tensor, rotation: Rotation) => this.#attend('prefill', layer, qkv, rotation),
  };
  readonly decode = {
    attend: (layer: number, qkv: Tensor, rotation: Rotation) => this.#attend('decode', layer, qkv, rotation),
  };
  /** Which slots are live after the last token placed. */
  readonly table: PageTable;
  readonly banks: SlotBanks;

  /** Places of the tokens of a step, see `stepWords`. */
  readonly step: Tensor;

  readonly #rowOffsets: Tensor;
  readonly #attention: AttentionShape;
  /** Whether the two guidance rows of an image must keep the same tokens. */
  readonly #pairsRows: boolean;
  #evicting: Program | undefined;
  /** With drafts, whose lines are summed whether one is evicted or not. */
  #adding: Program | undefined;

  private constructor(
    readonly runtime: Runtime,
    readonly shape: StoreShape,
    readonly plan: CachePlan,
    /** With drafts: how many tokens of each image are drawn, u32 [B]. */
    private readonly drawn: Tensor | undefined,
  ) {
    const { condition, lineLength, leftPadding, positionOffsets } = shape;
    const rows = leftPadding.length;
    this.slots = storeSlots(plan, lineLength, condition, shape.dtype);
    this.bytes = storeBytes({ ...shape, rows }, this.slots);
    this.table = new PageTable(plan, { ...shape, conditionTokens: condition });
    this.#attention = { ...shape, rows, slots: this.slots, hasSummaries: plan.summaries > 0 };
    this.#pairsRows = plan.rowScope === 'image' && rows === 2 * shape.images;
    this.banks = new SlotBanks(runtime, shape, {
      slots: this.slots,
      scoredLanes: scoredLanes(plan, lineLength),
      pairsRows: this.#pairsRows,
    });
    this.step = runtime.tensor([stepLength(this.table.mostLanes)], 'u32', 'step');
    this.#rowOffsets = runtime.tensor(
      [rows, 2],
      'u32',
      'row offsets',
      Uint32Array.from(leftPadding.flatMap((start, r) => [start, positionOffsets[r]!])),
    );
  }

  /**
   * Takes memory for all slots and records the line end. After this nothing is allocated.
   *
   * Throws OptionError for a policy whose score does not compile, and DeviceError, and keeps no memory, where a binding
   * cannot hold the slots of a row.
   */
  static async open(runtime: Runtime, shape: StoreShape, plan: CachePlan): Promise<KvStore> {
    const store = await KvStore.prepare(runtime, shape, plan);
    try {
      store.banks.allocate();
      await store.recordLineEnd();
      return store;
    } catch (error) {
      store.dispose();
      throw error;
    }
  }

  /** The same without the slots' memory, which programs that use them take, and without the line end. */
  static async prepare(runtime: Runtime, given: StoreShape, plan: CachePlan, drawn?: Tensor): Promise<KvStore> {
    const shape = { ...given, dtype: plan.kvDtype ?? given.dtype };
    await expectScore(runtime, shape, plan);
    return runtime.memory.together(() => new KvStore(runtime, shape, plan, drawn));
  }

  /** Records what ends a line, before the first token. */
  async recordLineEnd(): Promise<void> {
    const { survivors, summaries, observe } = this.plan;
    if (survivors + summaries > 0) this.#evicting = await this.runtime.record('line end', () => this.#recordEvict());
    if (this.drawn && observe !== 'nothing')
      this.#adding = await this.runtime.record('line sum', () => this.#recordAdd(this.step));
  }

  /**
   * Tells the GPU where the tokens of the next step go, and gives the programs to run after it: none, or the end of a line
   * when one ends.
   */
  advance(): readonly Program[] {
    const { liveSummaries } = this;
    const placed = this.table.place();
    const end = placed.endsLine ? this.table.endLine() : undefined;
    return this.#tell(placed, end, { liveSummaries, ...observation(this.plan, this.shape, placed) });
  }

  /**
   * The same for all steps of a line, which feed drafts: its first step comes after the programs, which end the line before.
   * Gives the last token too that the line feeds.
   */
  advanceLine(): { readonly ends: readonly Program[]; readonly last: number } {
    const isFirst = this.table.steps === 0;
    if (!isFirst && this.#adding) this.runtime.run(this.#adding); // while the step is still of that line
    const end = isFirst ? undefined : this.table.endLine();
    const { liveSummaries } = this;
    const placed = this.table.placeLine();
    const { observed, from, goesOn } = observedLine(this.plan, this.shape, placed.nextLine);
    const seen = { liveSummaries, observed, observedFrom: from, isFresh: goesOn ? 0 : 1 };
    return { ends: this.#tell(placed, end, seen), last: placed.lanes[0]!.token }; // of one lane
  }

  #tell(
    placed: Placement,
    end: LineEnd | undefined,
    {
      liveSummaries: { from, to },
      ...seen
    }: Pick<Step, 'observed' | 'isFresh' | 'observedFrom'> & Pick<KvStore, 'liveSummaries'>,
  ): readonly Program[] {
    const evicts = end?.kind === 'evict';
    const words = stepWords({
      ...placed,
      ...seen,
      summariesFrom: from,
      summariesTo: to,
      leavingSlot: evicts ? end.leavingSlot : 0,
      isFirst: evicts && end.isFirst ? 1 : 0,
    });
    this.runtime.upload(this.step, 0, words);
    return evicts && this.#evicting ? [this.#evicting] : [];
  }

  /** Forgets everything: the store is as new. */
  reset(): void {
    this.table.reset();
    this.banks.clearScores();
  }

  /** Bytes that a line's end ranks candidates in; all layers share them. */
  get scratchBytes(): number {
    return this.#evicting?.scratchBytes ?? 0;
  }

  /** Slots that hold summaries now. */
  get liveSummaries(): { readonly from: number; readonly to: number } {
    const { anchorTokens, survivors, summaries } = this.plan;
    const from = this.shape.condition + anchorTokens + survivors;
    return this.table.hasEvicted ? { from, to: from + summaries } : { from: 0, to: 0 };
  }

  dispose(): void {
    this.#evicting?.dispose();
    this.#adding?.dispose();
    this.banks.dispose();
    this.step.dispose();
    this.#rowOffsets.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #attend(phase: 'prefill' | 'decode', layer: number, qkv: Tensor, rotation: Rotation): Tensor {
    const { condition, heads, kvHeads, headDim } = this.shape;
    const batch = this.shape.leftPadding.length;
    const tokens = phase === 'decode' ? (qkv.shape[0] ?? 0) / batch : condition;
    const rows = batch * tokens;
    const drawn = phase === 'decode' ? this.drawn : undefined;
    assert(
      phase === 'prefill' || drawn || stepLength(tokens) <= this.step.count,
      `layer ${layer}: ${tokens} tokens a row`,
    );
    qkv.expect(`layer ${layer}: qkv`, [rows, (heads + 2 * kvHeads) * headDim]);
    const banks = this.banks.of(layer);
    const y = this.runtime.result([rows, heads * headDim], 'f32', `attention of layer ${layer}`);
    for (const bank of banks) {
      const inputs = {
        qkv,
        rotation,
        rowOffsets: this.#rowOffsets,
        bank,
        step: this.step,
        drawn,
        y,
        shape: this.#attention,
        tokens,
        phase,
      };
      if (phase === 'prefill') appendPrefill(inputs);
      decodeAttention(inputs);
    }
    return y;
  }

  #recordAdd(step?: Tensor): void {
    for (const { scores } of this.banks.layers.flat()) if (scores) addScores(scores, step);
  }

  #recordEvict(): void {
    const { anchorTokens, survivors, summaries, score, observe, scoreScope } = this.plan;
    const byHeads = scoreScope === 'layer';
    if (!this.drawn) this.#recordAdd();
    for (const banks of this.banks.layers) {
      const pairs = this.#pairsRows && banks.length > 1 ? banks.length / 2 : undefined;
      for (const [i, { scores }] of banks.slice(0, pairs).entries()) {
        if (!scores || !(byHeads || this.#pairsRows)) continue;
        const partners = pairs === undefined ? undefined : banks[i + pairs]?.scores;
        shareScores({ scores, partners, byHeads, byRows: this.#pairsRows });
      }
      for (const bank of banks) {
        evict({
          bank,
          step: this.step,
          rowOffsets: this.#rowOffsets,
          shape: this.#attention,
          ...{ anchors: anchorTokens, survivors, summaries },
          score,
          movesScores: observe !== 'nothing' && observe.queries === 'image',
        });
      }
    }
  }
}
