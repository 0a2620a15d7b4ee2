import type { EvictionPolicy } from './eviction-policy.ts';
import { BY_AGE } from './scores.ts';

/** Remember everything. */
export const full: EvictionPolicy = { name: 'full', keepsAll: true, observe: 'nothing', score: BY_AGE };
