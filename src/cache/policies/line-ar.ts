import type { EvictionPolicy } from './eviction-policy.ts';
import { BY_ATTENTION } from './scores.ts';

/**
 * Keep the tokens that the line just finished attended to most. Source: LineAR, arXiv 2512.04857; the anchors, a whole
 * line where the paper says "initial tokens" (ours).
 */
export const lineAr: EvictionPolicy = {
  name: 'line-ar',
  anchorTokens: ({ lineLength }) => lineLength,
  observe: { queries: 'line' },
  score: BY_ATTENTION,
};
