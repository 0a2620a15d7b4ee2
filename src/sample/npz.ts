/** Pictures as the `.npz` that evaluators of images read: `arr_0`, u8 [N, height, width, 3]. */

import { readFile } from 'node:fs/promises';
import { makeZip } from 'client-zip';
import { decode } from 'fast-png';
import { FormatError } from '../tensor/errors.ts';
import { writePieces } from '../tensor/source/write-node.ts';

/** So that the same pictures give the same bytes. */
const NO_TIME = new Date(1980, 0, 1);

/**
 * Whole or not there; one picture at a time in memory, and of any size (ZIP64).
 *
 * Throws OptionError where it cannot be written, and FormatError for a file that is no RGB picture, or of another size than the first.
 */
export async function writeNpz(path: string, pictures: readonly string[]): Promise<void> {
  const sizeOf = async (file: string) => {
    const { width, height, channels, data } = decode(await readFile(file));
    if (channels === 3 && data instanceof Uint8Array) return { width, height, data };
    throw new FormatError(`${file}: expected a picture in RGB of 8 bits, got ${channels} channels`);
  };
  const [first] = pictures;
  const { width, height } = first === undefined ? { width: 0, height: 0 } : await sizeOf(first);
  async function* bytes() {
    yield header([pictures.length, height, width, 3]);
    for (const file of pictures) {
      const picture = await sizeOf(file);
      if (picture.width !== width || picture.height !== height)
        throw new FormatError(
          `${file}: expected ${width} x ${height} pixels, as the first, got ${picture.width} x ${picture.height}`,
        );
      yield picture.data;
    }
  }
  const zip = makeZip([{ name: 'arr_0.npy', input: bytes(), lastModified: NO_TIME }]);
  await writePieces(path, async (write) => {
    let position = 0;
    for await (const piece of zip as unknown as AsyncIterable<Uint8Array>) {
      await write(position, piece);
      position += piece.length;
    }
  });
}

/** Version 1.0 of the format, padded to 64 bytes. Source: numpy.lib.format. */
function header(shape: readonly number[]): Uint8Array {
  const text = `{'descr': '|u1', 'fortran_order': False, 'shape': (${shape.join(', ')}), }`;
  const length = Math.ceil((text.length + 11) / 64) * 64 - 10;
  const magic = [0x93, ...Buffer.from('NUMPY'), 1, 0, length & 255, length >> 8];
  return Uint8Array.from([...magic, ...Buffer.from(`${text.padEnd(length - 1)}\n`)]);
}
