// Builds the studio into a folder that any static host serves, then serves and opens it.
//
//     npm run studio                            build, serve on http://localhost:8400, open
//     npm run studio -- --out site --no-serve   build alone
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { build, context } from 'esbuild';

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: '.build/studio' },
    port: { type: 'string', default: '8400' },
    'no-serve': { type: 'boolean', default: false },
    'no-open': { type: 'boolean', default: false },
  },
});
const { out } = values;
const here = 'examples/studio';
const shared = { bundle: true, minify: true, format: 'esm', platform: 'browser', target: 'es2022', logLevel: 'warning' };

await rm(out, { recursive: true, force: true });
await mkdir(join(out, 'checkpoints/emoji'), { recursive: true });
await build({
  ...shared,
  entryPoints: [join(here, 'main.ts'), join(here, 'draws.ts')],
  outdir: join(out, 'assets'),
  splitting: true,
  chunkNames: '[hash]',
  tsconfig: join(here, 'tsconfig.json'),
});
for (const file of ['index.html', 'studio.css', 'icon.svg']) await cp(join(here, file), join(out, file));
for (const file of ['gpt.safetensors', 'vq.safetensors', 't5.safetensors', 'tokenizer.json'])
  await cp(join('checkpoints/emoji', file), join(out, 'checkpoints/emoji', file));

// what is kept for a visit without a network: all but the checkpoints, which are kept when they are first read
const files = (await readdir(out, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
const paths = files.map(({ parentPath, name }) => relative(out, join(parentPath, name))).sort();
const isWeights = (path) => path.startsWith('checkpoints');
const hashOf = async (paths) => {
  const hash = createHash('sha256');
  for (const path of paths) hash.update(path).update(await readFile(join(out, path)));
  return JSON.stringify(hash.digest('hex').slice(0, 12));
};
await build({
  ...shared,
  entryPoints: [join(here, 'service-worker.js')],
  outfile: join(out, 'service-worker.js'),
  define: {
    BUILD: await hashOf(paths),
    WEIGHTS: await hashOf(paths.filter(isWeights)),
    FILES: JSON.stringify(['./', ...paths.filter((path) => !isWeights(path))]),
  },
});
await writeFile(join(out, '.nojekyll'), '');
console.log(`built into ${out}`);
if (values['no-serve']) process.exit(0);

const server = await (await context({})).serve({ servedir: out, port: Number(values.port), host: 'localhost' });
const url = `http://localhost:${server.port}/`;
console.log(`${url} (Ctrl+C ends)`);
const opener = { darwin: 'open', win32: 'explorer' }[process.platform] ?? 'xdg-open';
if (!values['no-open']) spawn(opener, [url], { stdio: 'ignore', detached: true }).on('error', () => undefined);
