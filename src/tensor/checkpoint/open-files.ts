/** A checkpoint however a caller names it, alone or among the files of a model. */

import { absoluteName, fileCache, folderSet } from '#source';
import { FormatError } from '../errors.ts';
import type { ByteSource } from '../source/bytes.ts';
import { cachedFile, type DownloadOptions } from '../source/file-cache.ts';
import { type FileSet, openFirst, urlSet } from '../source/file-set.ts';
import { type HubName, type HubOptions, hubName, openHub } from '../source/hub.ts';
import { type CheckpointSource, openSource } from '../source/open-source.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint.ts';
import { openShards } from './sharded.ts';

export interface FilesOptions extends HubOptions, DownloadOptions {
  /**
   * Whether files of a hub are kept on the disk or in the origin's file system: true, false, or the folder to keep them in.
   * Default true. Without it, and for URLs always, ranges go straight into the GPU's buffers.
   */
  readonly cache?: boolean | string;
}

export interface OpenedFiles {
  readonly checkpoint: Checkpoint;
  /** The files around it; absent for a file named alone. */
  readonly files: FileSet | undefined;
}

/** Where a checkpoint is looked for, in this order. */
const CHECKPOINT_FILES = [
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
];

/**
 * Opens the checkpoint that `source` is or holds: a file of any kind that `openSource` takes, an index of shards, a folder,
 * a URL that ends in `/`, `hf:owner/name[@revision][/file]`, or a FileSet.
 *
 * Throws FormatError when there is none, or it cannot be read; OptionError for a malformed name.
 */
export async function openFiles(source: CheckpointSource | FileSet, options: FilesOptions = {}): Promise<OpenedFiles> {
  const set = await fileSetOf(source, options);
  if (!set)
    return {
      checkpoint: await openCheckpoint(await openSource(source as CheckpointSource, options)),
      files: undefined,
    };
  const { files, wanted } = set;
  const found = await openFirst(files, wanted);
  if (found) return { checkpoint: await openFound(files, found.file, found.source), files };
  throw new FormatError(`${files.name}: expected one of ${wanted.join(', ')}, got none; name the file itself`);
}

/** The checkpoint in an open file, of shards beside it where it is an index. */
async function openFound(files: FileSet, file: string, source: ByteSource): Promise<Checkpoint> {
  if (!file.endsWith('.index.json')) return await openCheckpoint(source);
  const folder = file.slice(0, file.lastIndexOf('/') + 1);
  return await openShards(source, (shard) => files.open(folder + shard));
}

/** The files that a source stands among, and which of them to look for; undefined for a single file. */
async function fileSetOf(
  source: CheckpointSource | FileSet,
  options: FilesOptions,
): Promise<{ readonly files: FileSet; readonly wanted: readonly string[] } | undefined> {
  if (typeof source === 'object' && 'open' in source) return { files: source, wanted: CHECKPOINT_FILES };
  const text = typeof source === 'string' ? absoluteName(source) : source instanceof URL ? String(source) : undefined;
  if (text === undefined) return undefined;
  const hub = hubName(text);
  if (hub) return { files: await hubFiles(hub, options), wanted: hub.file ? [hub.file] : CHECKPOINT_FILES };
  const isUrl = /^https?:\/\//.test(text);
  if (text.endsWith('.index.json')) {
    const at = text.lastIndexOf('/') + 1;
    const folder = text.slice(0, at) || '.';
    const files = isUrl ? urlSet(folder, options) : await folderSet(folder);
    return files && { files, wanted: [text.slice(at)] };
  }
  if (isUrl) return text.endsWith('/') ? { files: urlSet(text, options), wanted: CHECKPOINT_FILES } : undefined;
  const folder = await folderSet(text);
  return folder && { files: folder, wanted: CHECKPOINT_FILES };
}

/** A repository whose files go through the cache. */
async function hubFiles(name: HubName, options: FilesOptions): Promise<FileSet> {
  const hub = await openHub(name, options);
  const { cache = true } = options;
  if (cache === false) return hub;
  const kept = await fileCache(...(typeof cache === 'string' ? [cache] : []));
  return {
    name: hub.name,
    async open(file) {
      const known = hub.files.get(file);
      if (!known) return await hub.open(file); // throws that it is not there
      const key = known.digest?.hex ?? `${name.repository}-${hub.commit}-${file}`.replaceAll('/', '--');
      const wanted = {
        file: `${hub.name}/${file}`,
        size: known.size,
        digest: known.digest,
        open: () => hub.open(file),
      };
      return await cachedFile(kept, key, wanted, options);
    },
  };
}
