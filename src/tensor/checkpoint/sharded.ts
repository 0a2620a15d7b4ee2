/**
 * A checkpoint in several files, with an index that says which tensor lies in which.
 *
 *     { "metadata": { ... }, "weight_map": { "<tensor>": "<file beside the index>" } }
 *
 * Source: transformers, model.safetensors.index.json and pytorch_model.bin.index.json.
 */

import { FormatError } from '../errors.ts';
import type { ByteSource } from '../source/bytes.ts';
import { type Checkpoint, openCheckpoint, type StoredTensor } from './checkpoint.ts';

/** (ours) The index of a model of 100,000 tensors has about 10 MB. */
const MOST_INDEX_BYTES = 64 * 2 ** 20;
/** (ours) */
const MOST_SHARDS = 1000;

/**
 * Opens every shard's directory, and no numbers yet. `open` opens a file by its plain name, beside the index. The index is
 * closed when this returns or throws; the checkpoint owns the shards.
 *
 * Throws FormatError for an index that is damaged or names files elsewhere, and for a tensor that its shard lacks.
 */
export async function openShards(index: ByteSource, open: (file: string) => Promise<ByteSource>): Promise<Checkpoint> {
  const places = await readIndex(index).finally(() => index.close());
  const shards = new Map<string, Checkpoint>();
  const close = async () => {
    for (const shard of shards.values()) await shard.close();
  };
  try {
    for (const file of new Set(places.values())) shards.set(file, await openCheckpoint(await open(file)));
    const tensors = new Map<string, StoredTensor>();
    for (const [tensor, file] of places) {
      const found = shards.get(file)?.tensors.get(tensor);
      if (!found) throw new FormatError(`${index.name}: expected a tensor ${tensor} in ${file}, got none`);
      tensors.set(tensor, found);
    }
    const [first] = shards.values();
    return { name: index.name, format: first?.format ?? 'safetensors', tensors, metadata: {}, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Names of tensors to names of files. */
async function readIndex(index: ByteSource): Promise<ReadonlyMap<string, string>> {
  const { name, size } = index;
  const wrong = (expected: string, got: string) => new FormatError(`${name}: expected ${expected}, got ${got}`);
  if (size > MOST_INDEX_BYTES) throw wrong(`at most ${MOST_INDEX_BYTES} bytes of an index`, `${size}`);
  const map = weightMap(await index.read(0, size));
  if (!map) throw wrong('an index, JSON with a weight_map', 'something else');
  const places = new Map<string, string>();
  for (const [tensor, file] of map) {
    if (typeof file !== 'string' || !/^[A-Za-z0-9_][\w.-]*$/.test(file) || file.includes('..'))
      throw wrong(`a file beside the index for ${tensor}`, JSON.stringify(file).slice(0, 200));
    places.set(tensor, file);
  }
  const files = new Set(places.values()).size;
  if (files === 0 || files > MOST_SHARDS) throw wrong(`1 to ${MOST_SHARDS} files`, `${files}`);
  return places;
}

function weightMap(bytes: Uint8Array): readonly (readonly [string, unknown])[] | undefined {
  try {
    const parsed: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    const map = isRecord(parsed) ? parsed['weight_map'] : undefined;
    return isRecord(map) ? Object.entries(map) : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
