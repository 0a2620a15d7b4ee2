/** Counts what a family's layers hold, by walking the very functions that load them. No GPU is needed. */

import { TAPS } from '../kernels/conv/weight.ts';
import { blockBytes, floatDtype, LANES, type MatrixDtype } from '../kernels/linear/weight.ts';
import type { Checkpoint } from '../tensor/checkpoint/checkpoint.ts';
import { ELEMENT_BYTES } from '../tensor/dtype.ts';
import { count } from '../tensor/shape.ts';
import {
  type ConvSource,
  type LayerLoader,
  type LinearSource,
  layerDtype,
  layerName,
  stackedMatrices,
  type TableSource,
} from './layer-loader.ts';

/** Layers that a loader's caller may hand on but not look into: here there is nothing behind them. */
const NOTHING = undefined as never;

export class SizeLoader implements LayerLoader {
  /** Shape of every tensor taken, by its name in the checkpoint. */
  readonly shapes = new Map<string, readonly number[]>();
  /** Bytes on the GPU, padding included. */
  bytes = 0;

  constructor(
    readonly dtype: MatrixDtype,
    readonly unquantized: readonly RegExp[] = [],
    /** Decides between layouts that differ in shapes; without one it is the official. */
    readonly checkpoint?: Checkpoint,
  ) {}

  /** Values in the checkpoint. */
  get parameters(): number {
    return [...this.shapes.values()].reduce((sum, shape) => sum + count(shape), 0);
  }

  async linear(source: LinearSource): Promise<never> {
    const { inputs, outputs, gain, up, bias, shape } = source;
    for (const [name, height] of stackedMatrices(source)) this.shapes.set(name, shape ?? [height, inputs]);
    if (up !== undefined) this.shapes.set(up, [outputs, inputs]);
    if (gain !== undefined) this.shapes.set(gain, [inputs]); // folded in: no memory of its own
    const dtype = layerDtype(layerName(source), this.dtype, this.unquantized);
    this.bytes += matrixBytes(inputs, outputs, dtype) * (up === undefined ? 1 : 2);
    if (bias !== undefined) await this.vector(bias, outputs);
    return NOTHING;
  }

  async conv({ name, inputs, outputs }: ConvSource): Promise<never> {
    this.shapes.set(`${name}.weight`, [outputs, inputs, 3, 3]);
    this.bytes += matrixBytes(TAPS * inputs, outputs, floatDtype(this.dtype));
    return await this.vector(`${name}.bias`, outputs);
  }

  async table({ name, count: rows, width, precise }: TableSource): Promise<never> {
    this.shapes.set(name, [rows, width]);
    this.bytes += rows * width * ELEMENT_BYTES[precise ? 'f32' : floatDtype(this.dtype)];
    return NOTHING;
  }

  async vector(name: string | readonly string[], width: number): Promise<never> {
    const names = [name].flat();
    for (const part of names) this.shapes.set(part, [width / names.length]);
    this.bytes += 4 * width;
    return NOTHING;
  }

  shape(name: string): readonly number[] | undefined {
    return this.checkpoint?.tensors.get(name)?.shape;
  }

  async values(name: string, shape: readonly number[]): Promise<Float32Array<ArrayBuffer>> {
    this.shapes.set(name, shape);
    return new Float32Array();
  }

  constant(_label: string, shape: readonly number[]): never {
    this.bytes += 4 * count(shape);
    return NOTHING;
  }
}

/** Bytes of a matrix in whole blocks of outputs. */
function matrixBytes(inputs: number, outputs: number, dtype: MatrixDtype): number {
  return Math.ceil(outputs / LANES) * blockBytes(inputs, dtype);
}
