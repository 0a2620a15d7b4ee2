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
