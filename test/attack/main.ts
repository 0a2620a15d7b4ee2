/**
 * `npm run attack`: mutated files, wrong options, hostile servers, faults and whole runs of damaged models, each in a
 * process of its own that is watched from outside. Ends with 1 if anything but a right or a typed end was seen. Bounded in time, on loopback alone.
 *
 *     npm run attack -- --seed 7 --seconds 240 --only files
 */

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Driver } from '../../src/tensor/device/adapter.ts';
import { type Attack, chance, type Ended, ended, type Outcome } from './attack.ts';
import { faultsAttack } from './faults.ts';
import { filesAttack } from './files.ts';
import { modelsAttack } from './models.ts';
import { optionsAttack } from './options.ts';
import { serversAttack } from './servers.ts';

const ATTACKS: Readonly<Record<string, (driver: Driver) => Promise<Attack>>> = {
  files: filesAttack,
  options: optionsAttack,
  servers: serversAttack,
  faults: faultsAttack,
  models: modelsAttack,
};

/** Far above the second that a case may take: machines are shared. */
const HANG_MS = 30_000;
/** An attack that draws compiles first. */
const BEGIN_MS = 300_000;
const HEAP_MB = 1024;
const OUTCOMES: readonly Outcome[] = ['right', 'typed', 'raw', 'crash', 'hang', 'over'];

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    seconds: { type: 'string', default: '240' },
    only: { type: 'string', default: Object.keys(ATTACKS).join(',') },
    driver: { type: 'string', default: 'auto' },
    worker: { type: 'string' },
    from: { type: 'string', default: '0' },
  },
});
const seed = Number(values.seed);
const driver = values.driver as Driver;

if (values.worker) await work(values.worker, Number(values.from), Number(values.seconds));
else process.exitCode = await lead(values.only.split(','), Number(values.seconds));

/** The cases from `from` on, one after the other, told as they begin and end. */
async function work(name: string, from: number, seconds: number): Promise<void> {
  const send = (message: object) => new Promise((resolve) => process.send?.(message, resolve));
  const attack = await ATTACKS[name]!(driver);
  const until = Date.now() + seconds * 1000;
  for (let index = from; Date.now() < until && index < (attack.count ?? Number.POSITIVE_INFINITY); index++) {
    await send({ begun: index });
    const one = await attack.run(chance(seed + 7919 * index), index);
    await send({ what: one.what });
    await send(await ended(index, one));
  }
  await attack.close?.();
  process.disconnect();
}

async function lead(names: readonly string[], seconds: number): Promise<number> {
  console.log(`seed ${seed}`);
  const all = new Map<string, Ended[]>();
  for (const name of names) all.set(name, await watched(name, seconds / names.length));
  const rows = [...all].map(([name, ends]) => [
    name,
    String(ends.length),
    ...OUTCOMES.map((outcome) => String(ends.filter((end) => end.outcome === outcome).length)),
    `${Math.round(ends.reduce((most, { cpuMs }) => Math.max(most, cpuMs), 0))} ms`,
  ]);
  const table = [['attack', 'cases', ...OUTCOMES, 'slowest'], ...rows];
  console.log(table.map((row) => row.map((cell, i) => (i ? cell.padStart(10) : cell.padEnd(10))).join('')).join('\n'));
  const wrong = [...all].flatMap(([name, ends]) =>
    ends.filter(({ outcome }) => outcome !== 'right' && outcome !== 'typed').map((end) => ({ name, ...end })),
  );
  for (const { name, index, outcome, what, detail } of wrong.slice(0, 40))
    console.log(`\n${outcome}: ${name} ${index}: ${what}\n${detail}`);
  if (wrong.length > 0) console.log(`\n${wrong.length} wrong; again with --seed ${seed}`);
  return wrong.length > 0 ? 1 : 0;
}

/** Runs a worker, and another from the next case on where one was lost. */
async function watched(name: string, seconds: number): Promise<Ended[]> {
  const ends: Ended[] = [];
  const until = Date.now() + seconds * 1000;
  for (let from = 0; Date.now() < until; ) {
    const lost = await watchedOnce(name, from, (until - Date.now()) / 1000, ends);
    if (!lost) break;
    ends.push(lost);
    from = lost.index + 1;
  }
  return ends;
}

/** The case in which the worker was lost; undefined when it came to its end. */
function watchedOnce(name: string, from: number, seconds: number, ends: Ended[]): Promise<Ended | undefined> {
  const child = fork(
    fileURLToPath(import.meta.url),
    ['--worker', name, '--seed', `${seed}`, '--from', `${from}`, '--seconds', `${seconds}`, '--driver', driver],
    {
      execArgv: [`--max-old-space-size=${HEAP_MB}`, '--enable-source-maps'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    },
  );
  let index = from;
  let what = 'the beginning';
  let isHung = false;
  let errors = '';
  child.stderr?.on('data', (data) => (errors = (errors + data).slice(-2000)));
  const hang = () => {
    isHung = true;
    child.kill('SIGKILL');
  };
  let timer = setTimeout(hang, BEGIN_MS);
  child.on('message', (message: Partial<Ended> & { readonly begun?: number }) => {
    clearTimeout(timer);
    timer = setTimeout(hang, HANG_MS);
    if (message.begun !== undefined) index = message.begun;
    else if (message.outcome !== undefined) ends.push(message as Ended);
    else what = message.what ?? what;
  });
  return new Promise((resolve) => {
    child.on('close', (code) => {
      clearTimeout(timer);
      const outcome = isHung ? 'hang' : 'crash';
      resolve(code === 0 ? undefined : { index, outcome, what, detail: errors, cpuMs: 0 });
    });
  });
}
