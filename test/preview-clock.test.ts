import assert from 'node:assert/strict';
import fc from 'fast-check';
import { PreviewClock } from '../src/preview-clock.ts';

const LINES = 16;

/** Decoded lines of each preview of a run, whose clock is asked at every line. */
function shown(lineMs: number, decodedLineMs: number): readonly number[] {
  const clock = new PreviewClock();
  const decoded: number[] = [];
  for (let line = 1; line < LINES; line++) {
    clock.drew(lineMs);
    const lines = line <= LINES / 2 ? LINES / 2 : LINES;
    if (!clock.isDue(lines)) continue;
    clock.previewed(lines * decodedLineMs, lines);
    decoded.push(lines);
  }
  return decoded;
}

describe('the clock of previews', () => {
  it('shows the first line, and keeps all that follows within a tenth of the time', () => {
    const times = {
      lineMs: fc.double({ min: 0.1, max: 1e4, noNaN: true }),
      share: fc.double({ min: 1e-4, max: 2, noNaN: true }),
    };
    fc.assert(
      fc.property(fc.record(times), ({ lineMs, share }) => {
        const decoded = shown(lineMs, share * lineMs);
        const [first = 0, ...others] = decoded;
        assert.equal(first, LINES / 2);
        const spent = decoded.reduce((sum, lines) => sum + lines * share * lineMs, 0);
        assert.ok(others.length === 0 || spent <= 0.1 * LINES * lineMs);
      }),
    );
  });

  it('shows every line where decoding takes next to nothing', () => {
    assert.equal(shown(100, 0.1).length, LINES - 1);
  });
});
