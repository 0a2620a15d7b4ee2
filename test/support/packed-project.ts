/** An empty project of a stranger, with the packed tarball installed. Needs `npm run build` first. */

import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';

export interface Ended {
  readonly code: number | null;
  /** stdout, and with stderr. */
  readonly out: string;
  readonly all: string;
}

export interface PackedProject {
  readonly folder: string;
  readonly tarball: string;
  /** Runs a line of a shell in the project's folder; the tools of this repository are on its path, behind its own. */
  run(line: string, variables?: Readonly<Record<string, string>>): Promise<Ended>;
  write(file: string, text: string): Promise<void>;
  close(): Promise<void>;
}

let shared: Promise<PackedProject> | undefined;

/** One project of all tests that add no packages to it; its files need names that no other test takes. */
export function sharedProject(): Promise<PackedProject> {
  shared ??= packedProject();
  return shared;
}

after(async () => await (await shared)?.close());

export async function packedProject(): Promise<PackedProject> {
  const folder = await mkdtemp(join(tmpdir(), 'rasterline-project-'));
  const packed = await shell(`npm pack --silent --pack-destination '${folder}'`, process.cwd());
  const tarball = join(folder, packed.out.trim().split('\n').at(-1) ?? '');
  const path = ['node_modules/.bin', resolve('node_modules/.bin'), process.env.PATH].join(delimiter);
  const project: PackedProject = {
    folder,
    tarball,
    run: (line, variables = {}) => shell(line, folder, { PATH: path, ...variables }),
    write: (file, text) => writeFile(join(folder, file), text),
    close: () => rm(folder, { recursive: true, force: true }),
  };
  await project.write('package.json', '{ "private": true, "type": "module" }');
  await install(project, tarball);
  return project;
}

/** Adds packages, of the versions that this repository has. */
export async function install(project: PackedProject, ...packages: readonly string[]): Promise<void> {
  const ended = await project.run(`npm install --silent --no-audit --no-fund --prefer-offline ${packages.join(' ')}`);
  if (ended.code !== 0) throw new Error(`npm install ${packages.join(' ')}: ${ended.all}`);
}

function shell(line: string, cwd: string, variables: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return new Promise((ended) => {
    const child = spawn('bash', ['-c', line], { cwd, env: { ...process.env, ...variables } });
    const text = { out: '', all: '' };
    child.stdout.on('data', (data) => {
      text.out += data;
      text.all += data;
    });
    child.stderr.on('data', (data) => (text.all += data));
    child.on('close', (code) => ended({ code, ...text }));
  });
}
