/** Opens a checkpoint of any format we read, told apart by its first bytes. */

import { FormatError } from '../errors.ts';
import { type ByteSource, checkedSource } from '../source/bytes.ts';
import { openSafetensors } from './safetensors.ts';
import type { Checkpoint } from './stored-tensor.ts';

export type { Checkpoint, StoredDtype, StoredTensor } from './stored-tensor.ts';

/** Enough to reach the mark of a tar archive. */
const HEAD_BYTES = 512;

const TAR_MARK_AT = 257;

/** What people hand over by mistake, by its first characters. */
const FOREIGN: readonly (readonly [start: string, what: string])[] = [
  ['\x80', 'a pickle of the legacy torch format; load it with torch 1.6 or later and save it again'],
  ['\x1f\x8b', 'gzip; unpack it first'],
  ['GGUF', 'GGUF; use the original checkpoint'],
  ['\x89HDF', 'HDF5; use the original checkpoint'],
  ['version https://git-lfs', 'a Git LFS pointer; fetch the file itself with git lfs pull'],
  ['<', 'a web page or XML; download the file itself'],
];

/**
 * Reads the directory of a checkpoint, and no numbers yet. The checkpoint owns the source; when opening fails, the
 * source is closed too.
 *
 * Throws OptionError for what is no source, and FormatError for a file that is neither safetensors nor a torch zip, or that is damaged.
 *
 * @example
 * const checkpoint = await openCheckpoint(await openSource('c2i_XL_384.pt'));
 * for (const { name, shape, dtype } of checkpoint.tensors.values()) console.log(name, shape, dtype);
 * await checkpoint.close();
 */
export async function openCheckpoint(given: ByteSource): Promise<Checkpoint> {
  const source = checkedSource('openCheckpoint', given);
  try {
    const head = await source.read(0, Math.min(source.size, HEAD_BYTES));
    const text = String.fromCharCode(...head);
    if (text[8] === '{') return await openSafetensors(source);
    if (text.startsWith('PK')) {
      const { openTorch } = await import('./torch/torch-checkpoint.ts');
      return await openTorch(source);
    }
    throw new FormatError(`${source.name}: expected a safetensors file or a torch zip, got ${describeHead(text)}`);
  } catch (error) {
    await source.close().catch(() => undefined); // the first error is the one to tell
    throw error;
  }
}

function describeHead(text: string): string {
  if (text === '') return 'an empty file';
  const foreign = FOREIGN.find(([start]) => text.startsWith(start));
  if (foreign) return foreign[1];
  if (text.startsWith('ustar', TAR_MARK_AT))
    return 'a tar archive; unpack it, or save it again with torch 1.6 or later';
  return 'an unknown format';
}
