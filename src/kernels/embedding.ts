/**
 * Rows of a table, chosen by ids that are on the GPU.
 *
 *     y[r] = table[ids[r mod ids.length]]        table [V, C]   ids u32 [B]   y [R, C] f32
 *
 * With guidance both rows of an image are fed the same token, so the rows may be a multiple of the ids. A table too large
 * for one binding is split into parts of whole rows; each part fills the rows whose ids it holds.
 */

import type { Dtype } from '../tensor/dtype.ts';
import { DeviceError, ShapeError } from '../tensor/errors.ts';
import { defineKernel } from '../tensor/kernel.ts';
import type { Runtime } from '../tensor/runtime.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { ROW, rowGroups } from './row-groups.ts';

export interface EmbeddingTable {
  readonly label: string;
  readonly count: number;
  readonly width: number;
  readonly parts: readonly { readonly tensor: Tensor; readonly first: number; readonly count: number }[];
  dispose(): void;
}

/** Memory for a table [count, width], to be filled row by row. Throws ShapeError unless 4 divides the width. */
export function allocateTable(
  runtime: Runtime,
  shape: { readonly label: string; readonly count: number; readonly width: number; readonly dtype: Dtype },
): EmbeddingTable {
  const { label, count, width, dtype } = shape;
  if (width % 4 !== 0) throw new ShapeError(`${label}: expected a width that 4 divides, got ${width}`);
  const rowBytes = width * (dtype === 'f16' ? 2 : 4);
  const most = Math.floor((runtime.maxBindingBytes - 16) / rowBytes);
  if (most < 1)
    throw new DeviceError(`${label}: expected a binding limit of ${rowBytes} bytes, got ${runtime.maxBindingBytes}`);
  const parts: { readonly tensor: Tensor; readonly first: number; readonly count: number }[] = [];
  for (let first = 0; first < count; first += most) {
    const rows = Math.min(most, count - first);
    parts.push({ tensor: runtime.tensor([rows, width], dtype, label), first, count: rows });
  }
  const dispose = () => {
    for (const { tensor } of parts) tensor.dispose();
  };
  return { label, count, width, parts, dispose };
}

/** Writes rows [first, first + n) of a table. `values` [n, width]. */
export function writeRows(table: EmbeddingTable, first: number, values: Float32Array<ArrayBuffer>): void {
  const { width } = table;
  const end = first + values.length / width;
  for (const part of table.parts) {
    const from = Math.max(first, part.first);
    const to = Math.min(end, part.first + part.count);
    if (from < to)
      part.tensor.writeAt((from - part.first) * width, values.subarray((from - first) * width, (to - first) * width));
  }
}

/** ids u32 [B] → [rows, C] f32. Throws ShapeError unless B divides `rows`. An id beyond the table leaves its row undefined. */
export function embedding(ids: Tensor, table: EmbeddingTable, rows: number = ids.count): Tensor {
  if (rows % ids.count !== 0)
    throw new ShapeError(`${table.label}: expected rows that ${ids.count} ids divide, got ${rows}`);
  const y = ids.runtime.result([rows, table.width], 'f32', table.label);
  for (const part of table.parts) {
    const constants = { VEC4S: table.width / 4, FIRST: part.first, COUNT: part.count };
    const sizes = ids.runtime.sizes([ids.count, rows]);
    const groups = [Math.ceil(table.width / 4 / 64), ...rowGroups(rows)];
    ids.runtime.dispatch(kernel, { ids, w: part.tensor, sizes, y }, constants, groups);
  }
  return y;
}

const kernel = /* @__PURE__ */ defineKernel(
  'embedding',
  { ids: 'read u32', w: 'read vec4', sizes: 'uniform Sizes', y: 'write vec4f' },
  `
struct Sizes { ids: u32, rows: u32 }
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3u) {
  ${ROW('at')}
  let id = ids[row % sizes.ids];
  if (at.x >= VEC4S || id < FIRST || id >= FIRST + COUNT) { return; }
  y[row * VEC4S + at.x] = w_at((id - FIRST) * VEC4S + at.x);
}`,
);

/** The last of every `tokens` rows: x [R · T, C] → [R, C]. With one token a row, x itself. */
export function lastRows(x: Tensor, tokens: number): Tensor {
  const [rows, width] = x.matrix('lastRows: x');
  if (tokens === 1) return x;
  const y = x.runtime.result([rows / tokens, width], 'f32', 'last rows');
  x.runtime.dispatch(lastKernel, { x, sizes: x.runtime.sizes([tokens]), y }, { VEC4S: width / 4 }, [
    Math.ceil(width / 4 / 64),
    rows / tokens,
  ]);
  return y;
}

const lastKernel = /* @__PURE__ */ defineKernel(
  'lastRows',
  { x: 'read vec4f', sizes: 'uniform Sizes', y: 'write vec4f' },
  `
struct Sizes { tokens: u32 }
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3u) {
  if (at.x < VEC4S) { y[at.y * VEC4S + at.x] = x[(at.y * sizes.tokens + sizes.tokens - 1) * VEC4S + at.x]; }
}`,
);
