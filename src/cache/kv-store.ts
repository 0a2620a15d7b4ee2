/**
 * The store of keys and values: a ring of line pages, allocated once.
 *
 * A `PageTable` decides on the CPU where a token goes and which page a line end frees; which tokens survive is decided on
 * the GPU. Nothing is read back. Both memories have the one method that a model asks for, `attend`.
 */

import { appendPrefill } from '../kernels/attention/append.ts';
import { decodeAttention } from '../kernels/attention/decode.ts';
import { evict } from '../kernels/attention/evict.ts';
import { shareScores } from '../kernels/attention/share-scores.ts';
import {
  type AttentionShape,
  type Rotation,
  type SlotBank,
  STEP_WORDS,
  stepWords,
} from '../kernels/attention/slots.ts';
import type { Dtype } from '../tensor/dtype.ts';
import { assert, DeviceError } from '../tensor/errors.ts';
import type { Program } from '../tensor/program.ts';
import type { Runtime } from '../tensor/runtime.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { expectScore } from './expect-score.ts';
import { observation } from './observation.ts';
import { PageTable } from './page-table.ts';
import type { CachePlan } from './policy.ts';
import { type StoreShape, storeBytes, storeSlots } from './store-shape.ts';

export { type StoreShape, storeBytes, storeSlots } from './store-shape.ts';

export class KvStore {
  readonly slots: number;
  /** Bytes of keys and values. */
  readonly bytes: number;
  /** Memory of a prefill (all condition tokens at once, causal), and of a line (one token a row, scored). */
  readonly prefill = {
    attend: (layer: number, qkv: Tensor, rotation: Rotation) => this.#attend('prefill', layer, qkv, rotation),
  };
  readonly decode = {
    attend: (layer: number, qkv: Tensor, rotation: Rotation) => this.#attend('decode', layer, qkv, rotation),
  };

  readonly #table: PageTable;
  readonly #banks: (readonly SlotBank[])[] = [];
  readonly #step: Tensor;
  readonly #rowOffsets: Tensor;
  readonly #attention: AttentionShape;
  /** Whether the two guidance rows of an image must keep the same tokens. */
  readonly #sharesRows: boolean;
  /** Slots of the summaries, live from the first eviction on. */
  readonly #summaries: { readonly from: number; readonly to: number };
  #hasEvicted = false;
  #evicting: Program | undefined;

  private constructor(
    readonly runtime: Runtime,
    readonly shape: StoreShape,
    readonly plan: CachePlan,
  ) {
    const { condition, lineLength, leftPadding, positionOffsets } = shape;
    const rows = leftPadding.length;
    this.slots = storeSlots(plan, lineLength, condition);
    this.bytes = storeBytes({ ...shape, rows }, this.slots);
    this.#table = new PageTable(plan, { lines: shape.lines, lineLength, conditionTokens: condition });
    this.#attention = { ...shape, rows, slots: this.slots, hasSummaries: plan.summaries > 0 };
    this.#sharesRows = plan.rowScope === 'image' && rows === 2 * shape.images;
    const first = condition + plan.anchorTokens + plan.survivors;
    this.#summaries = { from: first, to: first + plan.summaries };
    this.#step = runtime.tensor([STEP_WORDS], 'u32', 'step');
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
      for (const tensor of store.#tensors()) tensor.buffer; // takes its memory
      await store.recordLineEnd();
      return store;
    } catch (error) {
      store.dispose();
      throw error;
    }
  }

  /** The same without the slots' memory, which programs that use them take, and without the line end. */
  static async prepare(runtime: Runtime, shape: StoreShape, plan: CachePlan): Promise<KvStore> {
    await expectScore(runtime, shape, plan);
    return runtime.memory.together(() => {
      const store = new KvStore(runtime, shape, plan);
      for (let layer = 0; layer < shape.layers; layer++) store.#banks.push(store.#allocate(layer));
      return store;
    });
  }

  /** Records what ends a line, before the first token. */
  async recordLineEnd(): Promise<void> {
    const { survivors, summaries } = this.plan;
    if (survivors + summaries > 0) this.#evicting = await this.runtime.record('line end', () => this.#recordEvict());
  }

  /**
   * Tells the GPU where token `token` of the image goes, and gives the programs to run after the step: none, or the end of
   * the line when the token ends one.
   */
  place(token: number): readonly Program[] {
    const { slot, extent, deadFrom, deadTo } = this.#table.place(token);
    const { lines, lineLength } = this.shape;
    const endsLine = (token + 1) % lineLength === 0 && token + 1 < lines * lineLength;
    const end = endsLine ? this.#table.endLine() : undefined;
    const evicts = end?.kind === 'evict';
    const summaries = this.liveSummaries;
    const words = stepWords({
      ...{ token, slot, extent, deadFrom, deadTo },
      ...observation(this.plan, this.shape, token),
      summariesFrom: summaries.from,
      summariesTo: summaries.to,
      leavingSlot: evicts ? end.leavingSlot : 0,
      isFirst: evicts && end.isFirst ? 1 : 0,
    });
    this.runtime.upload(this.#step, 0, words);
    this.#hasEvicted ||= evicts;
    return evicts && this.#evicting ? [this.#evicting] : [];
  }

  /** Forgets everything: the store is as new. */
  reset(): void {
    this.#table.reset();
    this.#hasEvicted = false;
  }

  /** Bytes that a line's end ranks candidates in; all layers share them. */
  get scratchBytes(): number {
    return this.#evicting?.scratchBytes ?? 0;
  }

  /** Slots that hold summaries now. */
  get liveSummaries(): { readonly from: number; readonly to: number } {
    return this.#hasEvicted ? this.#summaries : { from: 0, to: 0 };
  }

  /** Which slots are live after the last token placed. */
  get table(): PageTable {
    return this.#table;
  }

  /** Positions in the slots of a layer, [R, G, S], as last written: slots that the page table calls dead hold old ones. */
  async positions(layer: number): Promise<Uint32Array> {
    return (await this.#read(layer, ({ positions }) => positions)) as Uint32Array;
  }

  /** Scores of a layer, [R, G, S]. For tests. */
  async scores(layer: number): Promise<Float32Array> {
    return (await this.#read(layer, ({ scores }) => scores)) as Float32Array;
  }

  /** Keys [R, G, D / 4, S, 4] and values [R, G, S, D] of a layer. For tests. */
  async contents(layer: number): Promise<{ readonly keys: Float32Array; readonly values: Float32Array }> {
    const keys = (await this.#read(layer, (bank) => bank.keys)) as Float32Array;
    return { keys, values: (await this.#read(layer, (bank) => bank.values)) as Float32Array };
  }

  dispose(): void {
    this.#evicting?.dispose();
    for (const tensor of this.#tensors()) tensor.dispose();
    this.#step.dispose();
    this.#rowOffsets.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #tensors(): Tensor[] {
    const tensors = this.#banks
      .flat()
      .flatMap(({ keys, values, positions, scores }) => [keys, values, positions, scores]);
    return tensors.filter((tensor) => tensor !== undefined);
  }

  /** One bank a layer, or several of whole rows where a binding cannot hold them all. */
  #allocate(layer: number): SlotBank[] {
    const { kvHeads, headDim, dtype } = this.shape;
    const rows = this.shape.leftPadding.length;
    const rowBytes = storeBytes({ layers: 1, rows: 1, kvHeads, headDim, dtype }, this.slots) / 2;
    const most = Math.floor(this.runtime.maxBindingBytes / rowBytes);
    if (most === 0) {
      throw new DeviceError(
        `KV store: expected a binding limit of ${rowBytes} bytes, got ${this.runtime.maxBindingBytes}; use a smaller budgetLines`,
      );
    }
    const banks: SlotBank[] = [];
    // rows that share their scores lie in one bank, or in two banks of the same size
    const stretch = this.#sharesRows && rows > most ? rows / 2 : rows;
    for (let firstRow = 0; firstRow < rows; firstRow += banks.at(-1)!.rows) {
      const count = Math.min(most, stretch - (firstRow % stretch));
      const cells = [count, kvHeads, this.slots];
      const make = (shape: readonly number[], type: Dtype, what: string) =>
        this.runtime.deferred(shape, type, `${what} of layer ${layer}`);
      banks.push({
        layer,
        firstRow,
        rows: count,
        keys: make([...cells, headDim], dtype, 'keys'),
        values: make([...cells, headDim], dtype, 'values'),
        positions: make(cells, 'u32', 'positions'),
        scores: this.plan.observe !== 'nothing' ? make(cells, 'f32', 'scores') : undefined,
      });
    }
    return banks;
  }

  #attend(phase: 'prefill' | 'decode', layer: number, qkv: Tensor, rotation: Rotation): Tensor {
    const { condition, heads, kvHeads, headDim } = this.shape;
    const tokens = phase === 'decode' ? 1 : condition;
    const rows = this.shape.leftPadding.length * tokens;
    qkv.expect(`layer ${layer}: qkv`, [rows, (heads + 2 * kvHeads) * headDim]);
    const banks = this.#banks[layer];
    assert(banks, `layer ${layer} of ${this.#banks.length}`);
    const y = this.runtime.result([rows, heads * headDim], 'f32', `attention of layer ${layer}`);
    for (const bank of banks) {
      const inputs = {
        qkv,
        rotation,
        rowOffsets: this.#rowOffsets,
        bank,
        step: this.#step,
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

  #recordEvict(): void {
    const { anchorTokens, survivors, summaries, score, observe, scoreScope } = this.plan;
    const byHeads = scoreScope === 'layer';
    for (const banks of this.#banks) {
      const pairs = this.#sharesRows && banks.length > 1 ? banks.length / 2 : undefined;
      for (const [i, { scores }] of banks.slice(0, pairs).entries()) {
        if (!scores || !(byHeads || this.#sharesRows)) continue;
        const partners = pairs === undefined ? undefined : banks[i + pairs]?.scores;
        shareScores({ scores, partners, byHeads, byRows: this.#sharesRows });
      }
      for (const bank of banks) {
        evict({
          bank,
          step: this.#step,
          rowOffsets: this.#rowOffsets,
          shape: this.#attention,
          ...{ anchors: anchorTokens, survivors, summaries },
          score,
          movesScores: observe !== 'nothing' && observe.queries === 'image',
        });
      }
    }
  }

  async #read(layer: number, pick: (bank: SlotBank) => Tensor | undefined): Promise<Float32Array | Uint32Array> {
    const parts = await Promise.all((this.#banks[layer] ?? []).map((bank) => pick(bank)?.read() ?? new Float32Array()));
    const all = new (parts[0] instanceof Uint32Array ? Uint32Array : Float32Array)(
      parts.reduce((sum, part) => sum + part.length, 0),
    );
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}
