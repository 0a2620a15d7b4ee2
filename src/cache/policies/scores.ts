/** Scores that several policies share. */

/** What was observed of the candidate. */
export const BY_ATTENTION = 'fn score(c: Candidate) -> f32 { return c.attention; }';

/** The newest stay. */
export const BY_AGE = 'fn score(c: Candidate) -> f32 { return f32(c.token); }';
