import assert from 'node:assert/strict';
import { cp, mkdir, readdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { build as esbuild } from 'esbuild';
import { createServer, build as vite } from 'vite';
import webpack from 'webpack';
import { generate, loadModel, Runtime } from '../../src/index.ts';
import { type BrowserPage, openBrowserPage } from '../support/browser.ts';
import { type PackedProject, sharedProject } from '../support/packed-project.ts';
import { readmeBlocks } from '../support/readme-blocks.ts';

/** What an example says while it draws: a busy browser may show the second line first. */
const LINE = /^line \d+ of 16$/;

const EXAMPLES = ['node', 'vite', 'worker', 'html'];

/** Opens the model and says so in the title: it comes from four files that the bundler has to find. */
const LOADS = `
import { loadModel, Runtime } from 'rasterline';
const model = await loadModel(await Runtime.open(), 'emoji-text').catch((error) => ({ name: error.message }));
document.title = model.name;`;

/** After the example of Vite: its picture, and the same on a canvas through the library's own device. */
const SHOWS = `
const canvas = new OffscreenCanvas(image.width, image.height);
const context = canvas.getContext('webgpu');
const usage = GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT;
context.configure({ device: runtime.device, format: 'rgba8unorm', usage, alphaMode: 'opaque' });
const rgba = Uint8Array.from({ length: image.width * image.height * 4 }, (_, i) =>
  i % 4 === 3 ? 255 : image.pixels[3 * (i >> 2) + (i % 4)]);
const size = [image.width, image.height];
runtime.device.queue.writeTexture({ texture: context.getCurrentTexture() }, rgba, { bytesPerRow: 4 * image.width }, size);
const copy = new OffscreenCanvas(...size).getContext('2d');
const read = (source) => {
  copy.drawImage(source, 0, 0);
  return [...copy.getImageData(0, 0, ...size).data.filter((_, i) => i % 4 !== 3)];
};
const shown = read(canvas);
await runtime.settled();
await picture.decode();
const { description } = runtime;
globalThis.drawn = { description, shown, png: read(picture), tokens: [...image.tokens], pixels: [...image.pixels] };`;

interface Drawn {
  readonly description: string;
  readonly tokens: readonly number[];
  /** RGB of the image, of the canvas, and of the PNG as the page shows it. */
  readonly pixels: readonly number[];
  readonly shown: readonly number[];
  readonly png: readonly number[];
}

const page = (script: string) =>
  `<!doctype html><title>page</title><link rel="icon" href="data:,"><body><script type="module" src="${script}"></script>`;

describe('an app from the packed tarball, in headless Chromium', function () {
  this.timeout(600_000);
  let project: PackedProject;
  let browser: BrowserPage;
  before(async () => {
    project = await sharedProject();
    await project.write('loads.js', LOADS);
    await project.write('loads.html', page('/loads.js'));
    for (const name of EXAMPLES) await cp(join('examples', name), join(project.folder, name), { recursive: true });
    browser = await openBrowserPage({ folder: project.folder });
  });
  after(async () => {
    await browser?.close();
  });

  const loadsModel = async (url: string) => {
    await browser.page.goto(url);
    await browser.page.waitForFunction(() => document.title !== 'page', undefined, { timeout: 120_000 });
    assert.equal(await browser.page.title(), 'emoji-text');
  };

  const buildExample = async (name: string) => {
    await vite({ root: join(project.folder, name), base: './', logLevel: 'error' });
    return `${browser.url}${name}/dist/index.html`;
  };
  /** What an example says in its page, once it says that. */
  const says = async (words: RegExp) => {
    const output = browser.page.locator('output', { hasText: words });
    await output.waitFor({ timeout: 300_000 });
  };
  /** How many colors a canvas shows. */
  const colors = () =>
    browser.page.evaluate(() => {
      const { data } = document.querySelector('canvas')!.getContext('2d')!.getImageData(0, 0, 64, 64);
      return new Set(data).size;
    });

  it("the examples fit on a page, and take this version and its tools' versions", async () => {
    const { version, devDependencies, peerDependencies } = JSON.parse(await readFile('package.json', 'utf8'));
    const ranges: Readonly<Record<string, string>> = {
      ...{ ...devDependencies, ...peerDependencies, rasterline: `^${version}`, 'http-server': '^14.1.1' },
    };
    for (const name of EXAMPLES) {
      const files = await readdir(join('examples', name));
      const texts = await Promise.all(files.map((file) => readFile(join('examples', name, file), 'utf8')));
      assert.ok(texts.join('').split('\n').length <= 61, name);
      const { dependencies, devDependencies: tools } = JSON.parse(texts[files.indexOf('package.json')]!);
      for (const [one, range] of Object.entries({ ...dependencies, ...tools })) assert.equal(range, ranges[one], one);
    }
  });

  it("the README's snippets are the examples for Node and Vite", async () => {
    for (const [mark, file] of [
      ['draw.mjs', 'node/draw.mjs'],
      ['browser', 'vite/main.js'],
    ]) {
      const { text } = readmeBlocks('js').find((block) => block.mark === mark)!;
      assert.equal(await readFile(join('examples', file!), 'utf8'), text);
    }
  });

  it('the example without a bundler draws line by line', async () => {
    await symlink('../node_modules', join(project.folder, 'html/node_modules'));
    await browser.page.goto(`${browser.url}html/index.html`);
    await says(LINE);
    assert.ok((await colors()) > 8, 'the first lines are blank');
  });

  it('the example of a worker shows lines, and stops when it is told to', async () => {
    await browser.page.goto(await buildExample('worker'));
    await says(LINE);
    assert.ok((await colors()) > 8, 'the first lines are blank');
    const loaded = await browser.page.locator('progress').evaluate((bar) => (bar as HTMLProgressElement).value);
    assert.equal(loaded, 1);
    await browser.page.click('button');
    await says(/^stopped$/);
  });

  it('the example of Vite draws, on a canvas too, with the tokens that Node draws on that driver', async () => {
    const main = await readFile(join(project.folder, 'vite/main.js'), 'utf8');
    await project.write('vite/main.js', `${main}${SHOWS}`);
    await browser.page.goto(await buildExample('vite'));
    const drawn = await browser.page.waitForFunction(() => (globalThis as { drawn?: Drawn }).drawn, undefined, {
      timeout: 500_000,
    });
    const { description, tokens, pixels, shown, png } = (await drawn.jsonValue())!;
    using runtime = await Runtime.open({ driver: 'swiftshader' });
    using model = await loadModel(runtime, 'emoji');
    const [expected] = await generate(model, { prompt: { classes: [187] }, cache: { budgetLines: 8 } });

    assert.match(description, /^browser: google, swiftshader/);
    assert.deepEqual(tokens, [...expected!.tokens]);
    assert.deepEqual(shown, pixels);
    assert.deepEqual(png, pixels);
    assert.ok(new Set(pixels).size > 8, 'the picture is blank');
    assert.equal(await browser.page.title(), '16 of 16');
  });

  it('built by Vite loads a model', async () => {
    const build = { outDir: 'built', rollupOptions: { input: join(project.folder, 'loads.html') }, target: 'esnext' };
    await vite({ root: project.folder, base: './', logLevel: 'error', build });
    await loadsModel(`${browser.url}built/loads.html`);
  });

  it("served by Vite's development server loads a model", async () => {
    const server = await createServer({
      root: project.folder,
      logLevel: 'error',
      server: { port: 0, host: 'localhost' },
    });
    try {
      await server.listen();
      await loadsModel(`${server.resolvedUrls!.local[0]}loads.html`);
    } finally {
      await server.close();
    }
  });

  it('built by webpack 5 loads a model, and holds nothing of Node', async () => {
    const stats = await new Promise<webpack.Stats>((built, failed) => {
      webpack(
        {
          context: project.folder,
          mode: 'production',
          entry: './loads.js',
          output: { path: join(project.folder, 'webpack') },
          performance: false,
        },
        (error, result) => (result ? built(result) : failed(error)),
      );
    });
    assert.deepEqual(stats.toJson({ errors: true, warnings: true }).errors, []);
    const assets = Object.keys(stats.compilation.assets).map((name) => name.split('.').at(-1)!);
    const data = assets.filter((kind) => kind !== 'js' && kind !== 'txt'); // txt: notices
    assert.deepEqual(data.sort(), ['json', 'safetensors', 'safetensors', 'safetensors']);
    await project.write('webpack/index.html', page('main.js'));
    await loadsModel(`${browser.url}webpack/index.html`);
  });

  it('built by esbuild loads a model that is beside the folder of the bundle', async () => {
    await esbuild({
      absWorkingDir: project.folder,
      entryPoints: ['loads.js'],
      bundle: true,
      format: 'esm',
      outfile: 'public/assets/main.js',
    });
    await mkdir(join(project.folder, 'public/checkpoints'), { recursive: true });
    await cp(join(project.folder, 'node_modules/rasterline/checkpoints'), join(project.folder, 'public/checkpoints'), {
      recursive: true,
    });
    await project.write('public/index.html', page('assets/main.js'));
    await loadsModel(`${browser.url}public/index.html`);
  });
});
