import assert from 'node:assert/strict';
import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { build as esbuild } from 'esbuild';
import { createServer, build as vite } from 'vite';
import webpack from 'webpack';
import { generate, loadModel, Runtime } from '../../src/index.ts';
import { type BrowserPage, openBrowserPage } from '../support/browser.ts';
import { type PackedProject, packedProject } from '../support/packed-project.ts';
import { readmeBlocks } from '../support/readme-blocks.ts';

/** Opens the model and says so in the title: it comes from four files that the bundler has to find. */
const LOADS = `
import { loadModel, Runtime } from 'rasterline';
const model = await loadModel(await Runtime.open(), 'emoji-text').catch((error) => ({ name: error.message }));
document.title = model.name;`;

/** After the README's snippet: its picture, and the same on a canvas through the library's own device. */
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
    project = await packedProject();
    await project.write('loads.js', LOADS);
    const { text } = readmeBlocks('js').find(({ mark }) => mark === 'browser')!;
    await project.write('draws.js', `${text}${SHOWS}`);
    await project.write('loads.html', page('/loads.js'));
    await project.write('draws.html', page('/draws.js'));
    browser = await openBrowserPage({ folder: project.folder });
  });
  after(async () => {
    await browser?.close();
    await project?.close();
  });

  const loadsModel = async (url: string) => {
    await browser.page.goto(url);
    await browser.page.waitForFunction(() => document.title !== 'page', undefined, { timeout: 120_000 });
    assert.equal(await browser.page.title(), 'emoji-text');
  };

  it('built by Vite draws what the README says, on a canvas too, with the tokens that Node draws on that driver', async () => {
    const input = ['loads.html', 'draws.html'].map((file) => join(project.folder, file));
    const build = { outDir: 'vite', rollupOptions: { input }, target: 'esnext' };
    await vite({ root: project.folder, base: './', logLevel: 'error', build });
    await loadsModel(`${browser.url}vite/loads.html`);
    await browser.page.goto(`${browser.url}vite/draws.html`);
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
