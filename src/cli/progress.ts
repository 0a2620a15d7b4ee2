/** Progress on stderr: a bar where someone is looking, else a line now and then. */

import { Presets, SingleBar } from 'cli-progress';

/** What takes less time than this has no line. */
const FIRST_LINE_MS = 1000;
/** Least time between two lines, so that the log of a long run stays short. */
const LINE_EVERY_MS = 5000;

export interface Progress {
  /** Ignored after `stop`. */
  update(done: number, total: number, detail?: string): void;
  stop(): void;
}

export function progressBar(label: string): Progress {
  const shown = process.stderr.isTTY ? bar(label) : lines(label);
  let isOver = false;
  return {
    update: (...progress) => {
      if (!isOver) shown.update(...progress);
    },
    stop: () => {
      isOver = true;
      shown.stop();
    },
  };
}

function bar(label: string): Progress {
  const bar = new SingleBar(
    {
      format: `${label.padEnd(10)} {bar} {percentage}% {eta_formatted} {detail}`,
      clearOnComplete: true,
      // nothing of the terminal is changed that a killed process would leave so
      hideCursor: false,
      linewrap: true,
      stream: process.stderr,
    },
    Presets.shades_classic,
  );
  let started = false;
  return {
    update: (done, total, detail = '') => {
      if (!started) bar.start(total, done, { detail });
      bar.setTotal(total);
      bar.update(done, { detail });
      started = true;
    },
    stop: () => bar.stop(),
  };
}

/** A line once a phase has taken a second, then one every five seconds. */
export function lines(
  label: string,
  write = (line: string): void => void process.stderr.write(`${line}\n`),
  now = (): number => performance.now(),
): Progress {
  let next = now() + FIRST_LINE_MS;
  return {
    update: (done, total, detail = '') => {
      if (now() < next) return;
      next = now() + LINE_EVERY_MS;
      write(`${label} ${Math.floor((100 * done) / Math.max(total, 1))} % ${detail}`.trimEnd());
    },
    stop: () => undefined,
  };
}
