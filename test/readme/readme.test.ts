import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { decode } from 'fast-png';
import { install, type PackedProject, packedProject } from '../support/packed-project.ts';
import { exampleOf, publicNames } from '../support/public-names.ts';
import { readmeBlocks } from '../support/readme-blocks.ts';

const MARKS = ['', 'draw.mjs', 'browser', 'fragment', 'esbuild', 'needs-files', 'repository', 'serve'];

/** What fragments and the examples of docstrings take as given: every function, a runtime and a model. */
function header(): string {
  const isType = (kind: string) => kind === 'interface' || kind === 'type';
  const names = publicNames();
  const values = names.filter(({ kind }) => !isType(kind));
  return `
import { readFile, writeFile } from 'node:fs/promises';
${names.map(({ entry, kind, name }) => `import { ${isType(kind) ? `type ${name}` : name} } from '${entry}';`).join('\n')}
declare const runtime: Runtime;
declare const model: ImageModel<{ classes: number[] }>;
declare const image: Awaited<ReturnType<typeof generate>>[number];
export { readFile, runtime, model, image, writeFile, ${values.map(({ name }) => name).join(', ')} };
`;
}

/** A command of npx as it runs where the tarball is installed already. */
const installed = (line: string) => line.replace('npx -p rasterline -p webgpu rasterline', 'npx rasterline');

describe('the README', function () {
  this.timeout(600_000);
  let project: PackedProject;
  before(async () => {
    const { devDependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
    project = await packedProject();
    const chromium = '@sparticuz/chromium';
    await install(project, `webgpu@${devDependencies.webgpu}`, `${chromium}@${devDependencies[chromium]}`);
  });
  after(() => project?.close());

  const passes = async (line: string) => {
    const { code, all } = await project.run(line);
    assert.equal(code, 0, `${line}: ${all}`);
  };
  const lines = (mark: string) =>
    readmeBlocks('sh')
      .filter((block) => block.mark === mark)
      .flatMap(({ text }) => text.trim().split('\n'));

  it('marks every block by how it is tested', () => {
    for (const { language, mark } of readmeBlocks()) {
      assert.ok(['sh', 'js', 'ts'].includes(language), language);
      assert.ok(MARKS.includes(mark), mark);
    }
  });

  it('has a snippet for Node that draws what it says', async () => {
    const [draw] = readmeBlocks('js').filter(({ mark }) => mark === 'draw.mjs');
    await project.write('draw.mjs', draw!.text);
    await passes('node draw.mjs');
    for (const file of ['emoji-0.png', 'emoji-1.png']) {
      const { width, data } = decode(await readFile(join(project.folder, file)));
      assert.equal(width, 64);
      assert.ok(new Set(data).size > 32, `${file} is blank`);
      await rm(join(project.folder, file));
    }
  });

  it('has commands that pass one after the other, and write the files that they name', async () => {
    for (const line of lines('')) if (line !== 'npm install rasterline webgpu') await passes(installed(line));
    const files = await readdir(project.folder);
    for (const file of ['emoji-0.png', 'emoji-1.png', 'again.png', 'other.png']) assert.ok(files.includes(file), file);
    const pixels = async (file: string) => decode(await readFile(join(project.folder, file))).data;
    assert.deepEqual(await pixels('again.png'), await pixels('emoji-0.png'));
    assert.notDeepEqual(await pixels('other.png'), await pixels('emoji-0.png'));
  });

  it('has commands for esbuild that build', async () => {
    await project.write('main.js', readmeBlocks('js').find(({ mark }) => mark === 'browser')!.text);
    for (const line of lines('esbuild')) await passes(line.replace('npx esbuild', 'esbuild'));
    assert.ok(existsSync(join(project.folder, 'public/checkpoints/emoji/gpt.safetensors')));
  });

  it('has commands for large models that lack nothing but their files', async () => {
    const hub = createServer((_, response) => void response.writeHead(404).end());
    await new Promise<void>((listening) => hub.listen(0, '127.0.0.1', listening));
    const endpoint = `http://127.0.0.1:${(hub.address() as AddressInfo).port}`;
    try {
      for (const line of lines('needs-files')) {
        const { code, all } = await project.run(line, { HF_ENDPOINT: endpoint, RASTERLINE_DRIVER: 'null' });
        assert.equal(code, 1, `${line}: ${all}`);
        assert.match(all, /got no such file|expected status 200, got 404/, line);
      }
    } finally {
      await new Promise((closed) => hub.close(closed));
    }
  });

  it('has a command of a server that is known', async () => {
    for (const line of lines('serve')) await passes(`${line} --help`);
  });

  it('has fragments and snippets that the type checker accepts, as are the examples of docstrings', async () => {
    const examples = publicNames().flatMap((name) => exampleOf(name) ?? []);
    const fragments = [...readmeBlocks('ts').map(({ text }) => text), ...examples];
    await project.write('fragments.mts', `${header()}${fragments.map((text) => `{\n${text}\n}`).join('\n')}`);
    const snippets = readmeBlocks('js');
    for (const [i, { text }] of snippets.entries()) await project.write(`snippet-${i}.mts`, text);
    await install(project, '@types/node');
    const files = ['fragments.mts', ...snippets.map((_, i) => `snippet-${i}.mts`)];
    await passes(
      `tsc --noEmit --strict --skipLibCheck false --target es2022 --lib esnext,dom,dom.iterable --module nodenext --types node ${files.join(' ')}`,
    );
  });

  it('names scripts of this repository that exist', () => {
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8'));
    for (const line of lines('repository')) {
      const [, name] = /^npm (?:run )?([\w:]+)$/.exec(line) ?? [];
      assert.ok(name && (name === 'ci' || name in scripts), line);
    }
  });

  it('links to files that exist', () => {
    const links = [...readFileSync('README.md', 'utf8').matchAll(/\]\(([^)#]+)\)/g)].map(([, link]) => link!);
    for (const link of links) if (!link.startsWith('https:')) assert.ok(existsSync(link), link);
  });
});
