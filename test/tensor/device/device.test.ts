import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findAdapter, listAdapters } from '#device';
import { unpackSwiftShader } from '../../../src/tensor/device/swiftshader-node.ts';
import { withEnvironment } from '../../../src/tensor/device/vulkan-node.ts';
import { DeviceError, OptionError } from '../../../src/tensor/errors.ts';
import { doubled } from '../../support/doubled.ts';

/** Hides the drivers of the machine that runs the tests from the Vulkan loader. */
const NO_DRIVERS = { VK_DRIVER_FILES: '/nonexistent.json', VK_ICD_FILENAMES: '/nonexistent.json' };

describe('platform in Node', () => {
  it('a SwiftShader adapter from npm runs a compute shader', async () => {
    const found = await findAdapter({ driver: 'swiftshader' });
    const device = await found.adapter.requestDevice();

    const numbers = await doubled(device, [1, -2.5, 3e10]);

    assert.equal(found.kind, 'swiftshader');
    assert.match(found.description, /^swiftshader: google, swiftshader/);
    assert.deepEqual(numbers, [2, -5, 2 * Math.fround(3e10)]);
    device.destroy();
  });

  it('without any driver on the system, auto takes SwiftShader', async () => {
    const found = await withEnvironment({ ...NO_DRIVERS, RASTERLINE_DRIVER: 'auto' }, () => findAdapter());

    assert.equal(found.kind, 'swiftshader');
  });

  it('the null backend gives a device that makes buffers', async () => {
    const found = await findAdapter({ driver: 'null' });
    const device = await found.adapter.requestDevice();

    assert.equal(found.kind, 'null');
    assert.equal(device.createBuffer({ size: 16, usage: 8 }).size, 16);
    device.destroy();
  });

  it('RASTERLINE_DRIVER decides for auto and yields to a named driver', async () => {
    const [auto, named] = await withEnvironment({ RASTERLINE_DRIVER: 'null' }, async () => [
      await findAdapter({ driver: 'auto' }),
      await findAdapter({ driver: 'swiftshader' }),
    ]);

    assert.equal(auto?.kind, 'null');
    assert.equal(named?.kind, 'swiftshader');
  });

  it('an unknown driver is an OptionError that says where it stood', async () => {
    const wrong = withEnvironment({ RASTERLINE_DRIVER: 'cuda' }, () => findAdapter());

    await assert.rejects(
      wrong,
      new OptionError("RASTERLINE_DRIVER: expected one of auto, gpu, lavapipe, swiftshader, null, got 'cuda'"),
    );
    await assert.rejects(findAdapter({ driver: 'cuda' as 'gpu' }), /^OptionError: driver: expected one of/);
  });

  it('a runtime with a WebGPU of its own, as Deno is, is asked for its adapter, without the npm package', async () => {
    const info = { vendor: 'maker', architecture: '', device: '0', description: 'card', isFallbackAdapter: false };
    const offer = (adapter: object | null) => ({ gpu: { requestAdapter: async () => adapter } });
    await withEnvironment({ RASTERLINE_DRIVER: 'auto' }, async () => {
      const found = await withNavigator(offer({ info }), () => findAdapter());
      assert.deepEqual([found.kind, found.description], ['gpu', 'gpu: maker, card']);
      await assert.rejects(
        withNavigator(offer(null), () => findAdapter()),
        /^DeviceError: adapter: expected one from navigator\.gpu of this runtime, got null; install/,
      );
      const software = offer({ info: { ...info, isFallbackAdapter: true } });
      await assert.rejects(
        withNavigator(software, () => findAdapter({ driver: 'gpu' })),
        /^DeviceError: adapter: expected a GPU from navigator\.gpu of this runtime, got lavapipe: maker/,
      );
    });
  });

  it('an unusable toggle name is an OptionError', async () => {
    await assert.rejects(findAdapter({ driver: 'null', dawnToggles: ['a,backend=null'] }), OptionError);
  });

  it('a driver asked for that is absent is a DeviceError naming what to install', async () => {
    await withEnvironment(NO_DRIVERS, async () => {
      await assert.rejects(
        findAdapter({ driver: 'lavapipe' }),
        (error) => error instanceof DeviceError && /install Mesa 25 or newer/.test(error.message),
      );
      await assert.rejects(
        findAdapter({ driver: 'gpu' }),
        (error) => error instanceof DeviceError && /install the Vulkan driver/.test(error.message),
      );
    });
  });

  it('a search leaves the variables of the process as they were', async () => {
    const before = { ...process.env };

    await Promise.all([findAdapter({ driver: 'swiftshader' }), findAdapter({ driver: 'null' })]);

    assert.deepEqual({ ...process.env }, before);
  });

  it('the list names every driver once, with a reason where it does not work', async () => {
    const list = await withEnvironment(NO_DRIVERS, () => listAdapters());

    assert.deepEqual(
      list.map(({ kind, state }) => `${kind} ${state}`),
      ['gpu unusable', 'lavapipe unusable', 'swiftshader usable', 'null usable'],
    );
  });
});

async function withNavigator<T>(navigator: object, work: () => Promise<T>): Promise<T> {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
  try {
    return await work();
  } finally {
    if (before) Object.defineProperty(globalThis, 'navigator', before);
    else Reflect.deleteProperty(globalThis, 'navigator');
  }
}

describe('the cache of unpacked drivers', () => {
  let cache: string;
  beforeEach(async () => {
    cache = await mkdtemp(join(tmpdir(), 'rasterline-test-'));
  });
  afterEach(() => rm(cache, { recursive: true }));

  it('several that unpack at once end with one complete folder and no drafts', async () => {
    const unpacked = await withEnvironment({ XDG_CACHE_HOME: cache }, () =>
      Promise.all([1, 2, 3].map(() => unpackSwiftShader())),
    );

    const folder = dirname(unpacked[0]?.icd ?? '');
    assert.equal(new Set(unpacked.map(({ icd }) => icd)).size, 1);
    assert.equal((await readdir(dirname(folder))).length, 1);
    assert.deepEqual((await readdir(folder)).sort(), [
      'libvk_swiftshader.so',
      'libvulkan.so.1',
      'vk_swiftshader_icd.json',
    ]);
  });

  it('a folder that lost a file is filled again', async () => {
    await withEnvironment({ XDG_CACHE_HOME: cache }, async () => {
      const { loader } = await unpackSwiftShader();
      await rm(loader);

      await unpackSwiftShader();

      assert.ok((await readdir(dirname(loader))).includes('libvulkan.so.1'));
    });
  });

  it('a cache that cannot be written is a DeviceError naming XDG_CACHE_HOME', async () => {
    const file = join(cache, 'file');
    await writeFile(file, '');

    await withEnvironment({ XDG_CACHE_HOME: file }, async () => {
      await assert.rejects(
        unpackSwiftShader(),
        (error) => error instanceof DeviceError && /XDG_CACHE_HOME/.test(error.message),
      );
    });
  });
});
