import type { EvictionPolicy } from './eviction-policy.ts';
import { BY_ATTENTION } from './scores.ts';

/** The first few tokens; more of them cost kept slots and gain nothing. (ours) */
const ANCHORS = 4;
/** Columns that share a summary. (ours) */
const COLUMNS = 4;

/**
 * As `line-ar`, but what is evicted is not lost: it joins the mean of its columns, which attention weighs by their count.
 * The first four tokens are anchors; four columns share a summary, as long as summaries take no more than half of the kept
 * slots; both guidance rows of an image keep the same tokens. (ours) The idea of votes: KeepKV, arXiv 2504.09936.
 *
 * Embedded model, 8 even classes, guidance 2, f16, lavapipe 25; KL per token at temperature 0.3 on the full cache's greedy
 * tokens, and free agreement, beside line-ar's: 3 of 16 lines 0.156, 0.888 (3.62, 0.478); 4 lines 0.068, 0.949 (0.516,
 * 0.689); 8 lines 0.0036, 0.999 (0.0117, 0.978).
 */
export const summary: EvictionPolicy = {
  name: 'summary',
  anchorTokens: ({ lineLength }) => Math.min(ANCHORS, lineLength),
  summaries: ({ budgetLines, recentLines, lineLength, anchorTokens }) => {
    const room = (budgetLines - recentLines - 1) * lineLength - anchorTokens;
    return Math.max(0, Math.min(Math.ceil(lineLength / COLUMNS), Math.floor(room / 2)));
  },
  rowScope: 'image',
  observe: { queries: 'line' },
  score: BY_ATTENTION,
};
