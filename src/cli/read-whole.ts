import { fileSource } from '#source';
import { expectWithin, type LimitName } from '../tensor/limits.ts';

/** The bytes of a file. Throws as `fileSource`, and FormatError for one that is over the limit, before it is read. */
export async function readWhole(file: string, limit?: LimitName): Promise<Uint8Array> {
  const source = await fileSource(file);
  try {
    if (limit) expectWithin(file, limit, source.size);
    return await source.read(0, source.size);
  } finally {
    await source.close();
  }
}
