/** The command line as tests start it. */

import { build } from 'esbuild';

export const CLI = '.build/cli-test/cli.mjs';

let built: Promise<unknown> | undefined;

/** Bundles it into `CLI`, once a process. */
export async function buildCli(): Promise<void> {
  built ??= build({
    ...{ entryPoints: ['src/cli.ts'], bundle: true, platform: 'node', target: 'node20', format: 'esm' },
    ...{ packages: 'external', outfile: CLI },
  });
  await built;
}
