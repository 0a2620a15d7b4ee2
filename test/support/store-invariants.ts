/**
 * The invariants of the store, as functions of what one (layer, row, KV head) held after every step. Any store can write
 * such a history: the plain models do (`store-run.ts`), and one on the GPU can from its read-backs.
 *
 * Tokens are counted along the sequence: the condition's come first, image token i is `condition + i`.
 */

import assert from 'node:assert/strict';
import type { CachePlan } from '../../src/cache/policy.ts';

export interface Held {
  /** Token in each slot, the condition's slots first; -1 where nothing live is. */
  readonly tokens: readonly number[];
  /** Key and value in each slot, in any form that `deepEqual` compares; of no meaning where nothing live is. */
  readonly contents: readonly unknown[];
  /** How many tokens each summary is the mean of, and that mean; none before the first eviction. */
  readonly summaries: readonly { readonly count: number; readonly contents: unknown }[];
}

/** The state after an image token was placed, or after a line was ended. */
export type StoreMoment = Held &
  (
    | { readonly kind: 'token'; readonly token: number; readonly slot: number; readonly written: unknown }
    | {
        readonly kind: 'line';
        readonly line: number;
        /** What the store chose by, for each slot as it was before the line's end. */
        readonly scores: readonly number[];
        /** How far a score may be from the definition's. */
        readonly scoreError: number;
        readonly freedPage: number | undefined;
      }
  );

export interface StoreHistory {
  readonly lines: number;
  readonly lineLength: number;
  readonly condition: number;
  readonly plan: CachePlan;
  /** With the condition written. */
  readonly start: Held;
  readonly moments: readonly StoreMoment[];
}

/** Invariants 1 to 7 and 10 by their titles. The others compare histories: `sameHeld`, `bookkeeping`. */
export const INVARIANTS: Readonly<Record<string, (history: StoreHistory) => void>> = {
  '1. live visual slots never exceed the budget at any step, and the slots stay as many as they were': ({
    lineLength,
    condition,
    plan,
    start,
    moments,
  }) => {
    for (const { tokens } of [start, ...moments]) {
      assert.equal(tokens.length, condition + plan.budgetLines * lineLength);
      assert.ok(tokens.slice(condition).filter((token) => token >= 0).length <= plan.budgetLines * lineLength);
    }
  },

  '2. condition, anchors, the last whole lines and the current line are always all present': (history) => {
    const { lineLength, condition, plan } = history;
    const placed = new Set<number>();
    let openLine = 0;
    for (const moment of history.moments) {
      const present = new Set(moment.tokens);
      if (moment.kind === 'token') placed.add(moment.token);
      else openLine = moment.line + 1;
      for (let token = 0; token < condition; token++) assert.equal(moment.tokens[token], token, 'condition');
      for (const token of placed) {
        const line = Math.floor(token / lineLength);
        if (token < plan.anchorTokens || line >= openLine - plan.recentLines)
          assert.ok(present.has(condition + token), `image token ${token}`);
      }
    }
  },

  '3. no two live tokens share a slot, no token is present twice, and every live token was written': (history) => {
    let before = history.start.tokens;
    const written = new Set(liveTokens(history.start));
    for (const moment of history.moments) {
      if (moment.kind === 'token') {
        written.add(history.condition + moment.token);
        assert.equal(before[moment.slot], -1, `image token ${moment.token} goes where a live token is`);
        assert.equal(moment.tokens[moment.slot], history.condition + moment.token);
      }
      const live = liveTokens(moment);
      assert.equal(new Set(live).size, live.length);
      assert.ok(live.every((token) => written.has(token)));
      before = moment.tokens;
    }
  },

  '4. key and value of a token are, while it lives, those that were written for it': ({ start, moments }) => {
    const written = new Map(start.tokens.map((token, slot) => [token, start.contents[slot]]));
    for (const moment of moments) {
      if (moment.kind === 'token') written.set(moment.tokens[moment.slot]!, moment.written);
      for (const [slot, token] of moment.tokens.entries())
        if (token >= 0) assert.deepEqual(moment.contents[slot], written.get(token), `token ${token} in slot ${slot}`);
    }
  },

  '5. an evicted token never comes back': ({ start, moments }) => {
    const gone = new Set<number>();
    let before = liveTokens(start);
    for (const moment of moments) {
      const live = new Set(liveTokens(moment));
      for (const token of before) if (!live.has(token)) gone.add(token);
      for (const token of live) assert.ok(!gone.has(token), `token ${token}`);
      before = [...live];
    }
  },

  '6. survivors are exactly the best of the candidates by score, later tokens first among equals': (history) => {
    let before = history.start.tokens;
    for (const moment of history.moments) {
      if (moment.kind === 'line') checkSurvivors(history, moment, before);
      before = moment.tokens;
    }
  },

  "7. from the first full budget on, each line frees exactly one page, and that page is the next line's": (history) => {
    const { condition, lineLength, plan, moments } = history;
    for (const [at, moment] of moments.entries()) {
      if (moment.kind === 'token') continue;
      // a line begins where this one ends, if one is left
      const ahead = inFlight(history);
      assert.equal(moment.freedPage !== undefined, moment.line + ahead >= plan.budgetLines, `line ${moment.line}`);
      if (moment.freedPage === undefined) continue;
      const pages = Array.from({ length: plan.budgetLines }, (_, page) =>
        moment.tokens.slice(condition + page * lineLength, condition + (page + 1) * lineLength),
      );
      const summaries = plan.anchorTokens + plan.survivors;
      for (const [slot, token] of pages.flat().entries()) {
        const isSummary = slot >= summaries && slot < summaries + plan.summaries;
        const isFree: boolean = Math.floor(slot / lineLength) === moment.freedPage;
        const inPage = pages[Math.floor(slot / lineLength)]!;
        const isOpen = inPage.some((held) => held >= condition + (moment.line + 1) * lineLength);
        if (!isOpen) assert.equal(token >= 0, !isSummary && !isFree, `slot ${slot}: ${pages}`);
      }
      const isNext = (next: StoreMoment) => next.kind === 'token' && next.token === (moment.line + ahead) * lineLength;
      const next = moments.slice(at).find(isNext);
      if (next) assert.equal(next.kind === 'token' && next.slot, condition + moment.freedPage * lineLength);
    }
  },

  '10. live tokens and what the summaries count are all tokens placed, where there are summaries': (history) => {
    const { condition, plan, moments } = history;
    if (plan.summaries === 0) return;
    let placed = 0;
    for (const moment of moments) {
      if (moment.kind === 'token') placed++;
      const joined = moment.summaries.reduce((sum, { count }) => sum + count, 0);
      assert.equal(liveTokens(moment).length - condition + joined, placed);
    }
  },
};

/** Invariant 8, "bit-identical": what lay where after every step, whatever the plan was called. */
export function sameHeld(a: StoreHistory, b: StoreHistory): void {
  assert.deepEqual(a.start, b.start);
  assert.deepEqual(a.moments, b.moments);
}

/** What the page table decided, for invariant 8: the slot of every token, the page that every line freed. */
export function bookkeeping({ moments }: StoreHistory): readonly (number | undefined)[] {
  return moments.map((moment) => (moment.kind === 'token' ? moment.slot : moment.freedPage));
}

function liveTokens({ tokens }: Held): number[] {
  return tokens.filter((token) => token >= 0);
}

/** Lines of which some tokens are placed and others not. */
function inFlight({ lineLength, plan }: StoreHistory): number {
  return Math.ceil(lineLength / plan.window);
}

function checkSurvivors(
  history: StoreHistory,
  moment: StoreMoment & { readonly kind: 'line' },
  before: readonly number[],
): void {
  const { condition, lineLength, plan } = history;
  const begins = moment.line + inFlight(history);
  if (begins < plan.budgetLines) {
    assert.deepEqual(moment.tokens, before, 'a line end with a free page left changes nothing');
    return;
  }
  const after = new Set(moment.tokens);
  const held = before.map((token, slot) => ({ token, score: moment.scores[slot]! })).filter(({ token }) => token >= 0);
  const open = (moment.line + 1 - plan.recentLines) * lineLength;
  const isCandidate = (token: number) => token - condition >= plan.anchorTokens && token - condition < open;
  for (const { token } of held) if (!isCandidate(token)) assert.ok(after.has(token), `token ${token} is protected`);
  const candidates = held
    .filter(({ token }) => isCandidate(token))
    .sort((a, b) => b.score - a.score || b.token - a.token);
  const vacated = begins === plan.budgetLines ? plan.summaries : 0;
  assert.equal(candidates.length, plan.survivors + lineLength + vacated);
  assert.equal(candidates.filter(({ token }) => after.has(token)).length, plan.survivors);
  if (moment.scoreError > 0) {
    const of = (survives: boolean) => candidates.filter(({ token }) => after.has(token) === survives);
    const least = Math.min(...of(true).map(({ score }) => score));
    for (const { token, score } of of(false))
      assert.ok(score <= least + 2 * moment.scoreError, `token ${token} of score ${score} over ${least}`);
    return;
  }
  for (const [rank, { token }] of candidates.entries())
    assert.equal(after.has(token), rank < plan.survivors, `token ${token}, ranked ${rank}, after line ${moment.line}`);
}
