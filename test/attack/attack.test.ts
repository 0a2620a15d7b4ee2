import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { build } from 'esbuild';
import * as library from '../../src/index.ts';
import { publicFunctions } from './public-functions.ts';

const MAIN = '.build/attack-test/main.mjs';

describe('an attack', () => {
  it('with damaged files, wrong options, hostile servers and faults ends as it should or in typed errors', async () => {
    await build({
      entryPoints: ['test/attack/main.ts'],
      bundle: true,
      platform: 'node',
      target: 'node20',
      format: 'esm',
      packages: 'external',
      outfile: MAIN,
    });

    const { code, text } = await run(['--seed', '1', '--seconds', '15', '--driver', 'null']);

    assert.equal(code, 0, text);
    for (const name of ['files', 'options', 'servers', 'faults', 'models'])
      assert.match(text, new RegExp(`^${name} +[1-9]\\d*`, 'm'));
  });

  it('tries every public function', async () => {
    const { functions, close } = await publicFunctions();
    const tried = new Set(functions.map(({ name }) => name));

    const missing = Object.entries(library)
      .filter(([name, made]) => typeof made === 'function' && !tried.has(name) && !UNTRIED.has(name))
      .map(([name]) => name);

    await close();
    assert.deepEqual(missing, []);
  });
});

/** Errors and classes that nobody makes, and functions without arguments. */
const UNTRIED: ReadonlySet<string> = new Set([
  ...Object.keys(library).filter((name) => name.endsWith('Error')),
  ...['LlamaGen', 'Tensor', 'listAdapters'],
]);

function run(arguments_: readonly string[]): Promise<{ readonly code: number | null; readonly text: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [MAIN, ...arguments_]);
    let text = '';
    child.stdout.on('data', (data) => (text += data));
    child.stderr.on('data', (data) => (text += data));
    child.on('close', (code) => resolve({ code, text }));
  });
}
