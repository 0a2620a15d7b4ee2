/**
 * A checkpoint in several files, with an index that says which tensor lies in which.
 *
 *     { "metadata": { ... }, "weight_map": { "<tensor>": "<file beside the index>" } }
 *
 * Source: transformers, model.safetensors.index.json and pytorch_model.bin.index.json.
 */

import { FormatError } from '../errors.ts';
import { expectWithin, LIMITS } from '../limits.ts';
import { show } from '../show.ts';
import type { ByteSource } from '../source/bytes.ts';
import { isObject, parseJson } from '../source/json.ts';
import { type Checkpoint, openCheckpoint, type StoredTensor } from './checkpoint.ts';

const INDEX = 'an index, JSON with a weight_map';

/**
 * Opens every shard's directory, and no numbers yet. `open` opens a file by its plain name, beside the index. The index is
 * closed when this returns or throws; the checkpoint owns the shards.
 *
 * Throws FormatError for an index that is damaged or names files elsewhere, and for a tensor that its shard lacks. Tensors
 * that the index does not name are there like the others.
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
    // what a shard holds beside that is there too: whoever loads the checkpoint says whether it belongs to the model
    for (const shard of shards.values())
      for (const [tensor, found] of shard.tensors) if (!places.has(tensor)) tensors.set(tensor, found);
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
  expectWithin(name, 'indexBytes', size);
  const parsed = parseJson(name, await index.read(0, size), INDEX);
  const map = isObject(parsed) ? parsed.weight_map : undefined;
  if (!isObject(map)) throw new FormatError(`${name}: expected ${INDEX}, got something else`);
  const places = new Map<string, string>();
  for (const [tensor, file] of Object.entries(map)) {
    if (typeof file !== 'string' || !/^[A-Za-z0-9_][\w.-]*$/.test(file) || file.includes('..'))
      throw new FormatError(`${name}: expected a file beside the index for ${tensor}, got ${show(file)}`);
    places.set(tensor, file);
  }
  const files = new Set(places.values()).size;
  expectWithin(name, 'shards', files);
  if (files === 0) throw new FormatError(`${name}: expected 1 to ${LIMITS.shards.most} files, got 0`);
  return places;
}
