import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FormatError, StorageError } from '../../src/tensor/errors.ts';
import type { Candidate } from '../../src/tensor/tensor.ts';
import { Tuning } from '../../src/tensor/tuning.ts';
import { parseTuning, tuningFile, tuningText } from '../../src/tensor/tuning-file.ts';

const ADAPTER = { vendor: 'maker', architecture: 'a7', device: 'chip', description: 'driver 1.2' } as GPUAdapterInfo;
const IDENTITY = { adapter: 'maker, a7, chip, driver 1.2', library: '1.0.0' };

const candidates = ['first', 'second'].map((name) => ({ name })) as unknown as readonly Candidate[];

describe('what was measured', () => {
  let folder: string;
  const { XDG_CACHE_HOME } = process.env;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rasterline-tuning-'));
    process.env.XDG_CACHE_HOME = folder;
  });
  afterEach(async () => {
    if (XDG_CACHE_HOME === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = XDG_CACHE_HOME;
    await rm(folder, { recursive: true });
  });

  const recalled = async (library = '1.0.0', adapter = ADAPTER) => {
    const tuning = new Tuning();
    await tuning.recall(adapter, library);
    return { state: tuning.state, name: tuning.choose('work', candidates).name };
  };

  it('is known to the next process on the same adapter, driver and version, and to no other', async () => {
    const tuning = new Tuning();
    tuning.remember('work', 'second');
    const file = await tuning.save(ADAPTER, '1.0.0');

    assert.deepEqual(await recalled(), { state: { state: 'remembered', file, problems: 1 }, name: 'second' });
    const nothing = { state: { state: 'priors' }, name: 'first' };
    assert.deepEqual(await recalled('1.0.1'), nothing);
    assert.deepEqual(await recalled('1.0.0', { ...ADAPTER, description: 'driver 1.3' }), nothing);
    assert.deepEqual(await readdir(join(folder, 'rasterline/tuning')), [tuningFile(IDENTITY)]);
  });

  it('is ignored where its file is damaged, or was put in the place of another, and says why', async () => {
    await mkdir(join(folder, 'rasterline/tuning'), { recursive: true });
    const path = join(folder, 'rasterline/tuning', tuningFile(IDENTITY));
    const good = tuningText(IDENTITY, new Map([['work', 'second']]));
    const damaged: readonly (readonly [text: string, reason: RegExp])[] = [
      ['', /expected JSON/],
      [good.slice(0, 40), /expected JSON/],
      ['null', /expected an object, got null/],
      ['[]', /expected an object/],
      [good.replace('driver 1.2', 'driver 1.1'), /expected adapter maker, .* 1.2, got 'maker, .* 1.1'/],
      [good.replace('1.0.0', '0.9.0'), /expected library 1.0.0, got '0.9.0'/],
      [good.replace('{\n    "work": "second"\n  }', '7'), /expected choices by problem, got 7/],
      [good.replace('"second"', '["second"]'), /expected the name of a kernel for work/],
    ];
    for (const [text, reason] of damaged) {
      await writeFile(path, text);
      const { state, name } = await recalled();
      assert.equal(name, 'first', text);
      assert.ok(state.state === 'ignored' && state.error instanceof FormatError, text);
      assert.match(state.error.message, reason);
    }
  });

  it('is ignored where nothing can be read, and cannot be stored there', async () => {
    await mkdir(join(folder, 'rasterline/tuning', tuningFile(IDENTITY)), { recursive: true });

    const { state } = await recalled();

    assert.ok(state.state === 'ignored' && state.error instanceof StorageError);
    await assert.rejects(new Tuning().save(ADAPTER, '1.0.0'), StorageError);
    assert.deepEqual(await readdir(join(folder, 'rasterline/tuning')), [tuningFile(IDENTITY)]);
  });

  it('of an unknown kernel leaves the prior, and a kernel is no property of every object', async () => {
    const tuning = new Tuning();
    tuning.remember('work', 'no longer there');
    assert.equal(tuning.choose('work', candidates).name, 'first');
    const text = tuningText(IDENTITY, new Map([['__proto__', 'x']]));
    assert.equal(parseTuning('file', text, IDENTITY).get('toString'), undefined);
    await readFile(await tuning.save(ADAPTER, '1.0.0'), 'utf8');
  });
});
