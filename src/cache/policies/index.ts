/** The policies by the name a caller gives. */

import type { EvictionPolicy } from './eviction-policy.ts';
import { full } from './full.ts';
import { lineAr } from './line-ar.ts';
import { streaming } from './streaming.ts';

export type { EvictionPolicy };

export const POLICIES = { full, streaming, 'line-ar': lineAr } as const satisfies Record<string, EvictionPolicy>;

/** A policy of `cache.policy` by name. */
export type PolicyName = keyof typeof POLICIES;
