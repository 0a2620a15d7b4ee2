import assert from 'node:assert/strict';
import { WorkClock } from '../../src/tensor/work-clock.ts';

describe('the clock of submitted work', () => {
  it('sleeps through nothing before a program has been timed', () => {
    const clock = new WorkClock();
    clock.submitted(
      [
        { averageMs: 0, isWarm: true },
        { averageMs: 50, isWarm: true },
      ],
      0,
    );
    assert.equal(clock.sleepMs(1), 0);
  });

  it('sleeps through less than the time that the same work took before, counted from the first submit', () => {
    const clock = new WorkClock();
    const step = { averageMs: 0, isWarm: true };
    for (let i = 0; i < 10; i++) clock.submitted([step], 1000 + i);
    clock.done(1100, 1010);
    assert.equal(step.averageMs, 10);

    for (let i = 0; i < 20; i++) clock.submitted([step], 2000 + i);

    assert.equal(clock.sleepMs(2020), 0.8 * 200 - 20);
    assert.equal(clock.sleepMs(2200), 0);
  });

  it('takes no time from the first run of a program, which may have compiled', () => {
    const clock = new WorkClock();
    const step = { averageMs: 0, isWarm: false };
    clock.submitted([step], 0);
    clock.done(1000, 0);
    assert.deepEqual(step, { averageMs: 0, isWarm: true });

    clock.submitted([step], 2000);
    clock.done(2010, 2000);

    assert.equal(step.averageMs, 10);
  });

  it('comes down to work that becomes ten times as fast within four waits, and to work that becomes slower in one', () => {
    const clock = new WorkClock();
    const step = { averageMs: 100, isWarm: true };
    const wait = (takesMs: number) => {
      clock.submitted([step], 0);
      const askedMs = clock.sleepMs(0);
      clock.done(Math.max(takesMs, askedMs), askedMs);
    };
    for (let i = 0; i < 4; i++) wait(10);
    assert.equal(step.averageMs, 10);
    wait(70);
    assert.equal(step.averageMs, 70);
  });

  it('has nothing to wait for when nothing was submitted', () => {
    const clock = new WorkClock();
    clock.done(5, 4);
    assert.equal(clock.sleepMs(6), 0);
  });
});
