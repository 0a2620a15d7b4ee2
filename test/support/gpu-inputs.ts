/** What the tests of the GPU store feed it: shapes, and seeded queries, keys, values and angles for each. */

import fc from 'fast-check';
import { type CacheOptions, type CachePlan, planCache } from '../../src/cache/policy.ts';
import { randomValues } from './random.ts';

export interface GpuShape {
  readonly layers: number;
  readonly lines: number;
  readonly lineLength: number;
  readonly condition: number;
  /** First live condition token of each row. */
  readonly leftPadding: readonly number[];
  /** Whether positions count from a row's first live token. */
  readonly isShifted: boolean;
  readonly kvHeads: number;
  /** Query heads of each KV head. */
  readonly group: number;
  readonly headDim: number;
  readonly pairing: 'interleaved' | 'half-split';
  readonly dtype: 'f16' | 'f32';
  readonly cache: CacheOptions;
  /** Whose numbers each row is fed, where not its own. */
  readonly feeds?: readonly number[];
  /** Queries reach from -sharpness to it; at 0 every slot is attended alike, and all scores tie. */
  readonly sharpness: number;
}

export const gpuShapes: fc.Arbitrary<GpuShape> = fc
  .record({
    layers: fc.integer({ min: 1, max: 2 }),
    lines: fc.integer({ min: 4, max: 7 }),
    lineLength: fc.integer({ min: 2, max: 5 }),
    condition: fc.integer({ min: 1, max: 3 }),
    masked: fc.array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 3 }),
    isShifted: fc.boolean(),
    kvHeads: fc.integer({ min: 1, max: 2 }),
    group: fc.integer({ min: 1, max: 2 }),
    headDim: fc.constantFrom(4, 8, 12, 100),
    pairing: fc.constantFrom('interleaved' as const, 'half-split' as const),
    dtype: fc.constantFrom('f16' as const, 'f32' as const),
    policy: fc.constantFrom('line-ar' as const, 'line-ar' as const, 'line-ar' as const, 'streaming' as const),
    scoreScope: fc.constantFrom('head' as const, 'layer' as const),
    anchorLines: fc.nat({ max: 2 }),
    recentLines: fc.nat({ max: 2 }),
    extra: fc.integer({ min: 0, max: 3 }),
    sharpness: fc.constantFrom(3, 3, 3, 0),
  })
  .map(({ masked, policy, scoreScope, anchorLines, recentLines, extra, ...rest }) => {
    // three budgets of four evict: a line short of the image at most
    const budgetLines = Math.max(anchorLines + recentLines + 1, Math.min(rest.lines - 1, 2 + recentLines + extra));
    return {
      ...rest,
      leftPadding: masked.map((start) => Math.min(start, rest.condition - 1)),
      cache: { policy, scoreScope, anchorLines, recentLines, budgetLines },
    };
  });

export function planOf({ cache, lines }: GpuShape): CachePlan {
  return planCache(cache, lines);
}

export function positionOffsetsOf({ leftPadding, isShifted }: GpuShape): readonly number[] {
  return leftPadding.map((start) => (isShifted ? start : 0));
}

/** Channels of queries, keys and values of one token. */
export function widthOf({ kvHeads, group, headDim }: GpuShape): number {
  return kvHeads * (group + 2) * headDim;
}

/** cos and sin, [positions, D / 2, 2]. */
export function anglesOf({ condition, lines, lineLength, headDim }: GpuShape): Float32Array<ArrayBuffer> {
  const turns = randomValues(headDim, ((condition + lines * lineLength) * headDim) / 2);
  return Float32Array.from({ length: 2 * turns.length }, (_, i) => (i % 2 ? Math.sin : Math.cos)(3 * turns[i >> 1]!));
}

/** Of one token of one row; `token` counts the condition's first. */
export function qkvOf(
  shape: GpuShape,
  seed: number,
  at: { readonly layer: number; readonly row: number; readonly token: number },
): Float32Array<ArrayBuffer> {
  const { group, kvHeads, headDim, sharpness } = shape;
  const queries = group * kvHeads * headDim;
  const from = seed + 7919 * at.layer + 104729 * (shape.feeds?.[at.row] ?? at.row) + 31 * at.token;
  return randomValues(from, widthOf(shape)).map((value, i) => (i < queries ? sharpness : 3) * value);
}

/** Of some tokens of all rows, [R · T, (H + 2 G) · D]. */
export function qkvRows(
  shape: GpuShape,
  seed: number,
  layer: number,
  tokens: readonly number[],
): Float32Array<ArrayBuffer> {
  const rows = shape.leftPadding.flatMap((_, row) => tokens.map((token) => qkvOf(shape, seed, { layer, row, token })));
  return Float32Array.from(rows.flatMap((row) => [...row]));
}
