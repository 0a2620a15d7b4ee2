import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Lifetime, shareBuffers } from '../../src/tensor/placement.ts';

const lifetimes = (bytes: fc.Arbitrary<number>) =>
  fc.array(
    fc
      .record({ bytes, first: fc.nat(20), length: fc.nat(6) })
      .map(({ bytes, first, length }): Lifetime => ({ bytes, first, last: first + length })),
  );

/** Most bytes that are needed at one time. */
function most(regions: readonly Lifetime[]): number {
  const at = (time: number) =>
    regions.reduce((sum, { bytes, first, last }) => sum + (first <= time && time <= last ? bytes : 0), 0);
  return Math.max(...Array.from({ length: 27 }, (_, time) => at(time)));
}

const total = (buffers: readonly number[]) => buffers.reduce((sum, bytes) => sum + bytes, 0);

describe('shareBuffers', () => {
  it('gives regions buffers that hold them, and none two that are needed at one time', () => {
    fc.assert(
      fc.property(lifetimes(fc.integer({ min: 1, max: 100 })), (regions) => {
        const { buffers, places } = shareBuffers(regions);

        for (const [i, a] of regions.entries()) {
          assert.ok(buffers[places[i]!]! >= a.bytes);
          for (const [j, b] of regions.slice(0, i).entries()) {
            assert.ok(places[i] !== places[j] || a.last < b.first || b.last < a.first);
          }
        }
      }),
    );
  });

  it('makes no more buffers of one size than are needed at one time', () => {
    fc.assert(
      fc.property(lifetimes(fc.constant(8)), (regions) => {
        assert.equal(total(shareBuffers(regions).buffers), most(regions));
      }),
    );
  });

  it('makes no small buffers for what comes before the large', () => {
    const regions = [1, 2, 4, 8].map((bytes, at) => ({ bytes, first: 2 * at, last: 2 * at + 1 }));

    assert.deepEqual(shareBuffers(regions), { buffers: [8], places: [0, 0, 0, 0] });
  });
});
