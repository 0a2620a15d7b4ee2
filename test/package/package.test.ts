import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { install, type PackedProject, packedProject } from '../support/packed-project.ts';

describe('the packed tarball', function () {
  this.timeout(300_000);
  let project: PackedProject;
  before(async () => {
    project = await packedProject();
  });
  after(() => project?.close());

  const passes = async (line: string) => {
    const { code, all } = await project.run(line);
    assert.equal(code, 0, all);
    return all;
  };

  it('imports without webgpu, and says what to install when a device is opened', async () => {
    await project.write(
      'without.js',
      `import { Runtime } from 'rasterline';
       await Runtime.open().then(() => process.exit(1), ({ name, message }) => console.log(name, message));`,
    );
    assert.match(
      await passes('node without.js'),
      /^DeviceError .*npm install webgpu \(with npx: npx -p rasterline -p webgpu/,
    );
    const { code, all } = await project.run('rasterline generate --classes rat');
    assert.equal(code, 1);
    assert.match(all, /npx -p rasterline -p webgpu rasterline/);
  });

  it('opens a device in Node once webgpu is there', async () => {
    const { devDependencies } = JSON.parse(await readFile('package.json', 'utf8'));
    await install(project, `webgpu@${devDependencies.webgpu}`);
    await project.write(
      'with.js',
      `import { Runtime } from 'rasterline';
       const runtime = await Runtime.open({ driver: 'null' });
       console.log(runtime.description);
       runtime.dispose();`,
    );
    assert.match(await passes('node with.js'), /null-backend/);
  });

  it('has types that hold without skipLibCheck, and that refuse what is wrong', async () => {
    await project.write(
      'consumer.ts',
      `import { Runtime } from 'rasterline';
       const runtime: Runtime = await Runtime.open({ driver: 'null' });
       // @ts-expect-error there is no such driver
       await Runtime.open({ driver: 'cuda' }).then(() => runtime.dispose());`,
    );
    await passes('tsc --noEmit --strict --skipLibCheck false --target es2022 --module nodenext consumer.ts');
  });

  it('finds its checkpoint from a bundle of another project too', async () => {
    await project.write(
      'app.js',
      `import { loadModel, Runtime } from 'rasterline';
       const runtime = await Runtime.open({ driver: 'null' });
       console.log((await loadModel(runtime, 'emoji')).name);`,
    );
    await passes(
      'esbuild app.js --bundle --platform=node --format=esm --external:webgpu --external:cli-progress --outfile=out/app.js',
    );
    assert.match(await passes('node out/app.js'), /emoji/);
  });

  it('exports the classes and checkpoints of the emoji model', async () => {
    await project.write(
      'classes.js',
      `import { createRequire } from 'node:module';
       const require = createRequire(import.meta.url);
       console.log(require('rasterline/checkpoints/emoji/classes.json')[187].short);
       console.log(import.meta.resolve('rasterline/checkpoints/emoji/gpt.safetensors'));`,
    );
    assert.match(await passes('node classes.js'), /^cherries\nfile:.*gpt\.safetensors/);
  });

  it('is what publint and attw ask of a package of ESM alone', async () => {
    assert.match(await passes('publint node_modules/rasterline --strict'), /All good/);
    await passes(`attw '${project.tarball}' --profile esm-only`);
  });

  it('holds nothing of Node for browsers, and the notices of what is bundled', async () => {
    const dist = join(project.folder, 'node_modules/rasterline/dist');
    const bundles = (await readdir(dist)).filter((name) => /^browser.*\.js$/.test(name));
    assert.ok(bundles.length > 4);
    for (const name of bundles) {
      const bundle = await readFile(join(dist, name), 'utf8');
      assert.deepEqual(bundle.match(/["']node:\w+|\brequire\(|\bprocess\.\w+/g), null, name);
    }
    const notices = await readFile(join(project.folder, 'node_modules/rasterline/dist/NOTICES.txt'), 'utf8');
    for (const name of ['@huggingface/tokenizers', '@noble/hashes', 'fflate'])
      assert.match(notices, new RegExp(`^${name} `, 'm'));
  });
});
