import assert from 'node:assert/strict';
import { concatRows } from '../../src/kernels/concat-rows.ts';
import { allocateTable, embedding, writeRows } from '../../src/kernels/embedding.ts';
import { qkNorm } from '../../src/kernels/qk-norm.ts';
import { compute, testRuntime } from '../support/runtime.ts';

const ROWS = 65_535 + 70;

describe('a dispatch over rows', () => {
  it('of more rows than a dimension has workgroups reaches every row once', async () => {
    const runtime = await testRuntime();
    const table = allocateTable(runtime, { label: 'table', count: 8, width: 4, dtype: 'f32' });
    writeRows(
      table,
      0,
      Float32Array.from({ length: 32 }, (_, i) => i),
    );
    using ids = runtime.tensor(
      [ROWS],
      'u32',
      'ids',
      Uint32Array.from({ length: ROWS }, (_, i) => (i * 5) % 8),
    );
    using gain = runtime.tensor([1, 4], 'f32', 'gain', new Float32Array(4).fill(1));
    using bias = runtime.tensor([1, 4], 'f32', 'bias', new Float32Array(4).fill(2));

    const rows = await compute(runtime, () => concatRows([embedding(ids, table)], 'rows'));
    const normed = await compute(runtime, () => qkNorm(embedding(ids, table), { gain, bias, epsilon: 1e-5 }));

    for (let row = 0; row < ROWS; row++) assert.equal(rows[4 * row + 3], 4 * ((row * 5) % 8) + 3, `row ${row}`);
    // four neighboring numbers, whatever the first: the same rest after the mean, and the same variance
    const expected = 1.5 / Math.sqrt(1.25 + 1e-5) + 2;
    for (let row = 0; row < ROWS; row++) assert.ok(Math.abs(normed[4 * row + 3]! - expected) < 1e-5, `row ${row}`);
    table.dispose();
  });
});
