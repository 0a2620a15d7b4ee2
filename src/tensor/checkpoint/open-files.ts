/** A checkpoint however a caller names it, alone or among the files of a model. */

import { absoluteName, fileCache, folderSet } from '#source';
import { callback, either, flag, text } from '../checks.ts';
import { FormatError } from '../errors.ts';
import { checkOptions, checkValue, type OptionTable, pickOptions } from '../options.ts';
import type { ByteSource } from '../source/bytes.ts';
import { cachedFile, type DownloadOptions, type FileCache, keptBytes } from '../source/file-cache.ts';
import { FILE_SET, type FileSet, openFirst, urlSet } from '../source/file-set.ts';
import { HUB_OPTIONS, type HubName, type HubOptions, hubName, isCommit, listHub, readHub } from '../source/hub.ts';
import { type CheckpointSource, OPEN_SOURCE, openSource, SOURCE } from '../source/open-source.ts';
import { URL_OPTIONS } from '../source/url-source.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint.ts';
import { openShards } from './sharded.ts';

/** How files are fetched and kept. */
export interface FilesOptions extends HubOptions, DownloadOptions {
  /**
   * Whether files of a hub are kept on the disk or in the origin's file system: true, false, or the folder to keep them in.
   * Default true. Without it, and for URLs always, ranges go straight into the GPU's buffers.
   */
  readonly cache?: boolean | string;
}

export const FILES_OPTIONS: OptionTable<FilesOptions> = {
  place: 'openFiles',
  options: { ...HUB_OPTIONS.options, cache: either(flag, text), onDownload: callback() },
};

/** What a checkpoint is opened from. */
export const FILES_SOURCE = either(SOURCE, FILE_SET);

/** A checkpoint, and what lies beside it. */
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
 *
 * @example
 * const { checkpoint } = await openFiles('hf:deepseek-ai/Janus-Pro-1B');
 */
export async function openFiles(source: CheckpointSource | FileSet, given: FilesOptions = {}): Promise<OpenedFiles> {
  const options = checkOptions(FILES_OPTIONS, given);
  checkValue('source', FILES_SOURCE, source);
  const set = await fileSetOf(source, options);
  if (!set) {
    const opened = await openSource(source as CheckpointSource, pickOptions(OPEN_SOURCE, options));
    return { checkpoint: await openCheckpoint(opened), files: undefined };
  }
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
  if (FILE_SET.fits(source)) return { files: source, wanted: CHECKPOINT_FILES };
  const text = typeof source === 'string' ? absoluteName(source) : source instanceof URL ? String(source) : undefined;
  if (text === undefined) return undefined;
  const hub = hubName(text);
  if (hub) return { files: await hubFiles(hub, options), wanted: hub.file ? [hub.file] : CHECKPOINT_FILES };
  const isUrl = /^https?:\/\//.test(text);
  if (text.endsWith('.index.json')) {
    const at = text.lastIndexOf('/') + 1;
    const folder = text.slice(0, at) || '.';
    const files = isUrl ? urlSet(folder, pickOptions(URL_OPTIONS, options)) : await folderSet(folder);
    return files && { files, wanted: [text.slice(at)] };
  }
  if (isUrl)
    return text.endsWith('/')
      ? { files: urlSet(text, pickOptions(URL_OPTIONS, options)), wanted: CHECKPOINT_FILES }
      : undefined;
  const folder = await folderSet(text);
  return folder && { files: folder, wanted: CHECKPOINT_FILES };
}

/** A repository whose files go through the cache. */
async function hubFiles(name: HubName, options: FilesOptions): Promise<FileSet> {
  const { cache = true } = options;
  const http = pickOptions(HUB_OPTIONS, options);
  if (cache === false) return readHub(name, await listHub(name, http), http);
  const kept = await fileCache(...(typeof cache === 'string' ? [cache] : []));
  const hub = readHub(name, await listing(kept, name, http), http);
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

/** What a commit holds never changes: it is asked for once, and then a cached repository needs no server. */
async function listing(kept: FileCache, name: HubName, options: HubOptions): Promise<Uint8Array> {
  const ask = () => listHub(name, options);
  if (!isCommit(name.revision)) return await ask();
  return await keptBytes(kept, `${name.repository.replace('/', '--')}-${name.revision}.listing`, ask);
}
