import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder for the tests of a suite, or with `beforeEach` and `afterEach` for each of them; its path, from then on. */
export function temporaryFolder(begin: (make: () => Promise<void>) => void = before, end = after): () => string {
  let folder = '';
  begin(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rasterline-'));
  });
  end(() => rm(folder, { recursive: true, force: true }));
  return () => folder;
}
