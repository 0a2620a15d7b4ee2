import type { EvictionPolicy } from './eviction-policy.ts';
import { BY_AGE } from './scores.ts';

/**
 * Keep the first line and the newest tokens, forget the rest. Nothing is observed, so attention writes nothing.
 * Source: StreamingLLM, arXiv 2309.17453.
 */
export const streaming: EvictionPolicy = {
  name: 'streaming',
  anchorTokens: ({ lineLength }) => lineLength,
  // all the lines that anchors and summaries leave: a recent line is never moved
  recent: ({ budgetLines, lineLength, anchorTokens, summaries }) =>
    budgetLines - 1 - Math.ceil((anchorTokens + summaries) / lineLength),
  observe: 'nothing',
  score: BY_AGE,
};
