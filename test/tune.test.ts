import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TuneProgress } from '../src/tensor/race.ts';
import { Runtime } from '../src/tensor/runtime.ts';
import { tune } from '../src/tune.ts';
import { tinyModel } from './support/tiny-model.ts';

/** Dawn's null backend, for which nothing is slow, with a choice of kernels as on a GPU. */
async function openNull(): Promise<Runtime> {
  const runtime = await Runtime.open({ driver: 'null' });
  Object.defineProperty(runtime, 'traits', { value: { ...runtime.traits, kind: 'gpu' } });
  return runtime;
}

describe('tune', () => {
  let folder: string;
  const { XDG_CACHE_HOME } = process.env;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rasterline-tune-'));
    process.env.XDG_CACHE_HOME = folder;
  });
  afterEach(async () => {
    if (XDG_CACHE_HOME === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = XDG_CACHE_HOME;
    await rm(folder, { recursive: true });
  });

  const prompt = { classes: [1, 2] };

  it("tries what a model's prefill, step and decoder need, frees all it took, and is known to the next runtime", async () => {
    using runtime = await openNull();
    using model = await tinyModel(runtime);
    const before = runtime.liveBytes;
    const seen: TuneProgress[] = [];

    const { problems, file } = await tune(model, { prompt, onProgress: (progress) => seen.push(progress) });

    assert.equal(runtime.liveBytes, before);
    const rows = problems.map(({ problem }) => /(\d+) (?:rows|pixels)$/.exec(problem)?.[1]);
    assert.deepEqual(
      [...new Set(rows)],
      ['4', '64', '256'],
      'two guided images; a picture of 8 x 8 tokens, then doubled',
    );
    assert.deepEqual([seen.length, seen.at(-1)?.done], [problems.length + 1, problems.length]);
    using later = await openNull();
    assert.deepEqual(later.tuning.state, { state: 'remembered', file, problems: problems.length });
    using untouched = await Runtime.open({ driver: 'null', tuning: 'priors' });
    assert.deepEqual(untouched.tuning.state, { state: 'priors' });
  });

  it('stores nothing when it is ended, and frees all it took', async () => {
    using runtime = await openNull();
    using model = await tinyModel(runtime);
    const before = runtime.liveBytes;
    const end = new AbortController();
    const onProgress = () => end.abort(new Error('enough'));

    await assert.rejects(tune(model, { prompt, onProgress, signal: end.signal }), /enough/);

    assert.equal(runtime.liveBytes, before);
    assert.deepEqual(await readdir(folder), []);
  });
});
