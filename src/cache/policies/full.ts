import type { EvictionPolicy } from './eviction-policy.ts';

/** Remember everything. */
export const full: EvictionPolicy = { keepsAll: true, middleLines: () => 0 };
