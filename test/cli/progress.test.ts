import assert from 'node:assert/strict';
import { lines } from '../../src/cli/progress.ts';

describe('progress without a terminal', () => {
  it('is a line once a phase has taken a second, and then one every five seconds, whatever is reported', () => {
    const written: string[] = [];
    let now = 0;
    const progress = lines(
      'drawing',
      (line) => written.push(`${now} ${line}`),
      () => now,
    );
    for (; now <= 12_000; now += 100) progress.update(now, 12_000, now < 2000 ? 'embedding' : '');
    assert.deepEqual(written, ['1000 drawing 8 % embedding', '6000 drawing 50 %', '11000 drawing 91 %']);
  });

  it('says nothing of a phase that is over before', () => {
    const written: string[] = [];
    const progress = lines(
      'loading',
      (line) => written.push(line),
      () => 0,
    );
    progress.update(1, 2);
    progress.stop();
    assert.deepEqual(written, []);
  });
});
