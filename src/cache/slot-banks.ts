/** The memory of a store: slots of every layer, in banks of whole rows that fit into a binding. */

import type { SlotBank } from '../kernels/attention/slots.ts';
import type { Dtype } from '../tensor/dtype.ts';
import { assert, DeviceError } from '../tensor/errors.ts';
import type { Runtime } from '../tensor/runtime.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { rowBindingBytes, type StoreShape } from './store-shape.ts';

export interface BankOptions {
  readonly slots: number;
  /** Lanes whose attention is summed, each by itself; 0: none is. */
  readonly scoredLanes: number;
  /** Whether the two guidance rows of an image share their scores. */
  readonly pairsRows: boolean;
}

export class SlotBanks {
  readonly #layers: (readonly SlotBank[])[];

  /** Throws DeviceError where a binding cannot hold the slots of a row. Takes no memory yet. */
  constructor(
    private readonly runtime: Runtime,
    private readonly shape: StoreShape,
    private readonly options: BankOptions,
  ) {
    this.#layers = Array.from({ length: shape.layers }, (_, layer) => this.#make(layer));
  }

  /** Of each layer. */
  get layers(): readonly (readonly SlotBank[])[] {
    return this.#layers;
  }

  of(layer: number): readonly SlotBank[] {
    const banks = this.#layers[layer];
    assert(banks, `layer ${layer} of ${this.#layers.length}`);
    return banks;
  }

  /** Takes the memory, which else the first program that uses it takes. */
  allocate(): void {
    for (const tensor of this.#tensors()) tensor.buffer;
  }

  /** Positions in the slots of a layer, [R, G, S], as last written: slots that the page table calls dead hold old ones. */
  async positions(layer: number): Promise<Uint32Array> {
    return (await this.#read(layer, ({ positions }) => positions)) as Uint32Array;
  }

  /** Scores of a layer, [lanes, R, G, S] of each bank. For tests. */
  async scores(layer: number): Promise<Float32Array> {
    return (await this.#read(layer, ({ scores }) => scores)) as Float32Array;
  }

  /** Forgets what was summed. */
  clearScores(): void {
    for (const { scores } of this.#layers.flat()) scores?.write(new Float32Array(scores.count));
  }

  /** Keys and values of a layer as `SlotBank` has them. For tests. */
  async contents(layer: number) {
    return {
      keys: await this.#read(layer, ({ keys }) => keys),
      values: await this.#read(layer, ({ values }) => values),
    };
  }

  dispose(): void {
    for (const tensor of this.#tensors()) tensor.dispose();
  }

  #tensors(): Tensor[] {
    const tensors = this.#layers
      .flat()
      .flatMap(({ keys, values, positions, scores }) => [keys, values, positions, scores]);
    return tensors.filter((tensor) => tensor !== undefined);
  }

  #make(layer: number): SlotBank[] {
    const { kvHeads, headDim, dtype, leftPadding } = this.shape;
    const { slots, scoredLanes, pairsRows } = this.options;
    const chunks = headDim / 4;
    const rows = leftPadding.length;
    const rowBytes = rowBindingBytes({ kvHeads, headDim, dtype }, slots, scoredLanes);
    const most = Math.floor(this.runtime.maxBindingBytes / rowBytes);
    if (most === 0) {
      throw new DeviceError(
        `KV store: expected a binding limit of ${rowBytes} bytes, got ${this.runtime.maxBindingBytes}; use a smaller budgetLines`,
      );
    }
    const banks: SlotBank[] = [];
    // rows that share their scores lie in one bank, or in two banks of the same size
    const stretch = pairsRows && rows > most ? rows / 2 : rows;
    for (let firstRow = 0; firstRow < rows; firstRow += banks.at(-1)!.rows) {
      const count = Math.min(most, stretch - (firstRow % stretch));
      const cells = [count, kvHeads, slots];
      const make = (shape: readonly number[], type: Dtype, what: string) =>
        this.runtime.deferred(shape, type, `${what} of layer ${layer}`);
      banks.push({
        layer,
        firstRow,
        rows: count,
        ...(dtype === 'int8'
          ? {
              keys: make([count, kvHeads, chunks + 1, slots], 'u32', 'keys'),
              values: make([...cells, chunks], 'u32', 'values'),
            }
          : {
              keys: make([count, kvHeads, chunks, slots, 4], dtype, 'keys'),
              values: make([...cells, headDim], dtype, 'values'),
            }),
        positions: make(cells, 'u32', 'positions'),
        scores: scoredLanes > 0 ? make([scoredLanes, ...cells], 'f32', 'scores') : undefined,
      });
    }
    return banks;
  }

  async #read(layer: number, pick: (bank: SlotBank) => Tensor | undefined): Promise<Float32Array | Uint32Array> {
    const parts = await Promise.all(this.of(layer).map((bank) => pick(bank)?.read() ?? new Float32Array()));
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
