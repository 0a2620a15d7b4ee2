import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { type PackedProject, sharedProject } from '../support/packed-project.ts';

const BUDGETS: Readonly<Record<string, number>> = JSON.parse(readFileSync('test/package/size-budgets.json', 'utf8'));

describe('the size of a bundle, minified and compressed', function () {
  this.timeout(300_000);
  let project: PackedProject;
  before(async () => {
    project = await sharedProject();
  });

  /** Bytes of what a page fetches for an import, without what comes later when it is needed. */
  const fetched = async (text: string) => {
    const { outputFiles, metafile } = await build({
      stdin: { contents: text, resolveDir: project.folder },
      absWorkingDir: project.folder,
      ...{ bundle: true, splitting: true, minify: true, format: 'esm', platform: 'browser' },
      ...{ outdir: 'out', write: false, metafile: true, logLevel: 'error' },
    });
    const bytes = new Map(
      outputFiles.map(({ path, contents }) => [
        relative(project.folder, path),
        gzipSync(contents, { level: 9 }).length,
      ]),
    );
    const reached = new Set<string>();
    const reach = (file: string) => {
      if (reached.has(file)) return;
      reached.add(file);
      for (const { kind, path } of metafile.outputs[file]!.imports) if (kind === 'import-statement') reach(path);
    };
    reach(join('out', 'stdin.js'));
    return [...reached].reduce((sum, file) => sum + bytes.get(file)!, 0);
  };

  for (const [text, budget] of Object.entries(BUDGETS)) {
    it(`is at most ${budget} bytes of ${text}`, async () => {
      const size = await fetched(text);
      assert.ok(size <= budget, `${size} bytes`);
      assert.ok(size > budget / 2, `${size} bytes: the budget is too wide`);
    });
  }
});
