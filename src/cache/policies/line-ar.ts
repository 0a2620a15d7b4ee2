import type { EvictionPolicy } from './eviction-policy.ts';

/**
 * Between the anchors and the recent lines keep the tokens that the line just finished attended to most.
 * Source: LineAR, arXiv 2512.04857.
 */
export const lineAr: EvictionPolicy = {
  keepsAll: false,
  middleLines: ({ budgetLines, anchorLines, recentLines }) => budgetLines - anchorLines - recentLines - 1,
};
