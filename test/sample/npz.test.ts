import assert from 'node:assert/strict';
import { readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodePng } from '../../src/png.ts';
import { writeNpz } from '../../src/sample/npz.ts';
import { SampleFolder } from '../../src/sample/sample-folder.ts';
import { locate, readZip } from '../../src/tensor/checkpoint/torch/zip.ts';
import { FormatError, OptionError, StorageError } from '../../src/tensor/errors.ts';
import { fileSource } from '../../src/tensor/source/file-node.ts';
import { randomValues } from '../support/random.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

function picture(seed: number, width = 5, height = 3) {
  return { width, height, pixels: Uint8Array.from(randomValues(seed, width * height * 3), (x) => 127 * (x + 1)) };
}

describe('samples', () => {
  const folder = temporaryFolder();

  it('in an .npz are a numpy array of all pictures, in order', async () => {
    const pictures = [picture(1), picture(2), picture(3)];
    const files = pictures.map((_, i) => join(folder(), `${i}.png`));
    for (const [i, one] of pictures.entries()) await writeFile(files[i]!, encodePng(one));
    const path = join(folder(), 'all.npz');

    await writeNpz(path, files);

    const source = await fileSource(path);
    const entry = (await readZip(source)).get('arr_0.npy')!;
    const bytes = await source.read(await locate(source, entry), entry.bytes);
    await source.close();
    assert.deepEqual([...bytes.subarray(0, 8)], [0x93, ...Buffer.from('NUMPY'), 1, 0]);
    const length = bytes[8]! + 256 * bytes[9]!;
    assert.equal((10 + length) % 64, 0);
    const text = Buffer.from(bytes.subarray(10, 10 + length)).toString();
    assert.match(text, /^\{'descr': '\|u1', 'fortran_order': False, 'shape': \(3, 3, 5, 3\), \} *\n$/);
    assert.deepEqual(
      [...bytes.subarray(10 + length)],
      pictures.flatMap(({ pixels }) => [...pixels]),
    );
  });

  it('of another size are refused, and no file is left', async () => {
    const files = [join(folder(), 'a.png'), join(folder(), 'b.png')];
    await writeFile(files[0]!, encodePng(picture(1)));
    await writeFile(files[1]!, encodePng(picture(1, 4)));
    const before = await readdir(folder());
    await assert.rejects(writeNpz(join(folder(), 'other.npz'), files), FormatError);
    assert.deepEqual(await readdir(folder()), before);
  });

  it('in a folder are those of its settings alone, and what is there is not missing', async () => {
    const path = join(folder(), 'samples');
    const samples = await SampleFolder.open(path, { seed: 1 });
    assert.deepEqual(await samples.missing(4), [0, 1, 2, 3]);
    await samples.write(2, encodePng(picture(1)));
    assert.ok((await stat(join(path, '000002.png'))).size > 0);
    const again = await SampleFolder.open(path, { seed: 1 });
    assert.deepEqual(await again.missing(4), [0, 1, 3]);
    assert.deepEqual(await again.missing(3, 2), [3, 4]);
    await assert.rejects(SampleFolder.open(path, { seed: 2 }), OptionError);
  });

  it('on a full disk are a StorageError', async () => {
    const path = join(folder(), 'full');
    const samples = await SampleFolder.open(path, {});
    await symlink('/dev/full', samples.file(0));
    const error = await samples.write(0, encodePng(picture(1))).catch((thrown: unknown) => thrown);
    assert.ok(error instanceof StorageError);
    assert.match(error.message, /ENOSPC/);
    assert.deepEqual((await readdir(path)).sort(), ['000000.png', 'sample.json']);
  });
});
