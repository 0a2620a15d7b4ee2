import type { EvictionPolicy } from './eviction-policy.ts';
import { BY_ATTENTION } from './scores.ts';

/** Keep the tokens that were attended to most by all tokens so far. Source: H2O, arXiv 2306.14048. */
export const h2o: EvictionPolicy = { name: 'h2o', observe: { queries: 'image' }, score: BY_ATTENTION };
