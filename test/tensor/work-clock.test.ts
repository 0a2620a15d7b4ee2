import assert from 'node:assert/strict';
import { WorkClock } from '../../src/tensor/work-clock.ts';

describe('the clock of submitted work', () => {
  it('sleeps through nothing before a program has been timed', () => {
    const clock = new WorkClock();
    clock.submitted([{ averageMs: 0 }, { averageMs: 50 }], 0);
    assert.equal(clock.sleepMs(1), 0);
  });

  it('sleeps through less than the time that the same work took before, counted from the first submit', () => {
    const clock = new WorkClock();
    const step = { averageMs: 0 };
    for (let i = 0; i < 10; i++) clock.submitted([step], 1000 + i);
    clock.done(1100);
    assert.equal(step.averageMs, 10);

    for (let i = 0; i < 20; i++) clock.submitted([step], 2000 + i);

    assert.equal(clock.sleepMs(2020), 0.8 * 200 - 20);
    assert.equal(clock.sleepMs(2200), 0);
  });

  it('follows work that becomes faster', () => {
    const clock = new WorkClock();
    const step = { averageMs: 100 };
    for (let i = 0; i < 20; i++) {
      clock.submitted([step], 0);
      clock.done(Math.max(10, clock.sleepMs(0)));
    }
    assert.equal(step.averageMs, 10);
  });

  it('has nothing to wait for when nothing was submitted', () => {
    const clock = new WorkClock();
    clock.done(5);
    assert.equal(clock.sleepMs(6), 0);
  });
});
