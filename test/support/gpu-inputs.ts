/** What the tests of the GPU store feed it: shapes, and seeded queries, keys, values and angles for each. */

import fc from 'fast-check';
import { POLICIES, type PolicyName } from '../../src/cache/policies/index.ts';
import { type CacheOptions, type CachePlan, type KvDtype, planCache } from '../../src/cache/policy.ts';
import { randomValues } from './random.ts';

export interface GpuShape {
  readonly layers: number;
  readonly lines: number;
  readonly lineLength: number;
  readonly condition: number;
  /** First live condition token of each row. */
  readonly leftPadding: readonly number[];
  /** Half of the rows where they are pairs under guidance. */
  readonly images: number;
  /** Whether positions count from a row's first live token. */
  readonly isShifted: boolean;
  readonly kvHeads: number;
  /** Query heads of each KV head. */
  readonly group: number;
  readonly headDim: number;
  readonly pairing: 'interleaved' | 'half-split';
  readonly dtype: KvDtype;
  readonly cache: CacheOptions;
  /** Columns that a line is ahead of the one below; absent: they come one after another. */
  readonly window?: number;
  /** Whose numbers each row is fed, where not its own. */
  readonly feeds?: readonly number[];
  /** Queries reach from -sharpness to it; at 0 every slot is attended alike, and all scores tie. */
  readonly sharpness: number;
}

const EVICTING = (Object.keys(POLICIES) as PolicyName[]).filter((name) => name !== 'full');

/** What kernels are compiled for: few, as compiling takes longer than drawing, and any two properties in any combination. */
const HEADS: readonly Pick<GpuShape, 'kvHeads' | 'group' | 'headDim' | 'pairing' | 'dtype'>[] = [
  { kvHeads: 2, group: 2, headDim: 4, pairing: 'interleaved', dtype: 'f32' },
  { kvHeads: 1, group: 1, headDim: 8, pairing: 'half-split', dtype: 'f16' },
  { kvHeads: 2, group: 1, headDim: 12, pairing: 'interleaved', dtype: 'f16' },
  { kvHeads: 1, group: 2, headDim: 12, pairing: 'half-split', dtype: 'f32' },
  { kvHeads: 2, group: 2, headDim: 100, pairing: 'half-split', dtype: 'f16' },
  { kvHeads: 1, group: 1, headDim: 100, pairing: 'interleaved', dtype: 'f32' },
  { kvHeads: 2, group: 1, headDim: 12, pairing: 'half-split', dtype: 'int8' },
  { kvHeads: 1, group: 2, headDim: 100, pairing: 'interleaved', dtype: 'int8' },
];

export const gpuShapes: fc.Arbitrary<GpuShape> = fc
  .record({
    layers: fc.integer({ min: 1, max: 2 }),
    lines: fc.integer({ min: 4, max: 7 }),
    lineLength: fc.integer({ min: 2, max: 5 }),
    condition: fc.integer({ min: 1, max: 3 }),
    masked: fc.array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 3 }),
    isShifted: fc.boolean(),
    heads: fc.constantFrom(...HEADS),
    // each policy of the table, those with the most parts more often
    policy: fc.constantFrom(...EVICTING, 'line-ar' as const, 'summary' as const, 'summary' as const),
    summaries: fc.nat({ max: 3 }),
    isPaired: fc.boolean(),
    rowScope: fc.constantFrom('row' as const, 'image' as const),
    scoreScope: fc.constantFrom('head' as const, 'layer' as const),
    anchorTokens: fc.nat({ max: 6 }),
    recentLines: fc.nat({ max: 2 }),
    extra: fc.integer({ min: 0, max: 3 }),
    sharpness: fc.constantFrom(3, 3, 3, 0),
    // one line at a time, or two or three
    isParallel: fc.constantFrom(false, false, false, true),
  })
  .map(
    ({
      masked,
      isPaired,
      anchorTokens,
      recentLines,
      extra,
      summaries,
      policy,
      scoreScope,
      rowScope,
      heads,
      isParallel,
      ...rest
    }) => {
      // three budgets of four evict: a line short of the image at most
      const window = isParallel ? Math.ceil(rest.lineLength / 2) : rest.lineLength;
      const inFlight = Math.ceil(rest.lineLength / window);
      const pinned = Math.ceil(anchorTokens / rest.lineLength) + recentLines + inFlight;
      const budgetLines = Math.max(pinned, Math.min(rest.lines - 1, 2 + recentLines + extra));
      const room = (budgetLines - recentLines - inFlight) * rest.lineLength - anchorTokens;
      return {
        ...rest,
        ...heads,
        window,
        leftPadding: masked.map((start) => Math.min(start, rest.condition - 1)),
        images: isPaired && masked.length % 2 === 0 ? masked.length / 2 : masked.length,
        cache: {
          ...{ policy, scoreScope, rowScope, anchorTokens, recentLines, budgetLines },
          summaries: Math.min(summaries, room),
        },
      };
    },
  );

export function planOf({ cache, lines, lineLength, window }: GpuShape): CachePlan {
  return planCache(cache, { lines, lineLength }, window === undefined ? {} : { parallel: { window } });
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
