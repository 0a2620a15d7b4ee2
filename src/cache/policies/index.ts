/** The policies by the name a caller gives. */

import type { EvictionPolicy } from './eviction-policy.ts';
import { full } from './full.ts';
import { h2o } from './h2o.ts';
import { lineAr } from './line-ar.ts';
import { rKv } from './r-kv.ts';
import { random } from './random.ts';
import { snapkv } from './snapkv.ts';
import { streaming } from './streaming.ts';
import { summary } from './summary.ts';

export type { EvictionPolicy };

export const POLICIES = {
  full,
  summary,
  'line-ar': lineAr,
  streaming,
  h2o,
  snapkv,
  'r-kv': rKv,
  random,
} as const satisfies Record<string, EvictionPolicy>;

/** A policy of `cache.policy` by name. */
export type PolicyName = keyof typeof POLICIES;
