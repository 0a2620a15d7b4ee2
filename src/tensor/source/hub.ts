/**
 * A repository of the Hugging Face hub as a set of files, pinned to one commit.
 *
 *     GET {endpoint}/api/models/{owner/name}/revision/{revision}?blobs=true      commit, and size and hash of every file
 *     GET {endpoint}/{owner/name}/resolve/{commit}/{file}                        bytes, by ranges
 *
 * One request tells all that is needed to verify a download. Source: the hub's API as huggingface_hub uses it.
 */

import { FormatError, NotFoundError, OptionError } from '../errors.ts';
import type { ByteSource } from './bytes.ts';
import type { Digest } from './file-cache.ts';
import type { FileSet } from './file-set.ts';
import { type HttpOptions, reason, request, retried, TransientError } from './http.ts';
import { urlSource } from './url-source.ts';

export interface HubOptions extends HttpOptions {
  /** Default `https://huggingface.co`. */
  readonly endpoint?: string;
  /** For private and gated repositories. It is sent to the endpoint, and dropped where that sends us to another host. */
  readonly token?: string;
}

/** What the hub says of a file. */
export interface HubFile {
  readonly name: string;
  readonly size: number;
  /** A sha256 for files of Git LFS, git's own hash for the small ones in git itself; absent where the hub gives neither. */
  readonly digest: Digest | undefined;
}

export interface HubRepository extends FileSet {
  readonly commit: string;
  readonly files: ReadonlyMap<string, HubFile>;
}

/** `hf:owner/name`, `hf:owner/name@revision`, each with an optional `/path/of/a/file`. */
export interface HubName {
  readonly repository: string;
  readonly revision: string;
  readonly file: string | undefined;
}

/** Parses a name of the hub; undefined for anything else. Throws OptionError for one that is malformed. */
export function hubName(text: string): HubName | undefined {
  if (!text.startsWith('hf:')) return undefined;
  const match = /^hf:([\w.-]+\/[\w.-]+)(?:@([\w.-]+))?(?:\/([\w./-]+))?$/.exec(text);
  const [, repository, revision = 'main', file] = match ?? [];
  if (!repository || text.includes('..'))
    throw new OptionError(`source: expected hf:owner/name, with @revision and /file if need be, got ${text}`);
  return { repository, revision, file };
}

/** Asks the hub which commit a revision is, and what files it has. Throws NotFoundError, FormatError. */
export async function openHub({ repository, revision }: HubName, options: HubOptions = {}): Promise<HubRepository> {
  const endpoint = (options.endpoint ?? 'https://huggingface.co').replace(/\/$/, '');
  const headers = { ...options.headers, ...(options.token && { authorization: `Bearer ${options.token}` }) };
  const http = { ...options, headers };
  const name = `hf:${repository}@${revision}`;
  const address = `${endpoint}/api/models/${repository}/revision/${revision}?blobs=true`;
  const answer = await retried(address, http, async ({ signal, alive }) => {
    const response = await request(address, http, { signal }, [200]);
    alive();
    return await response.text().catch((cause) => {
      throw new TransientError(`${address}: expected a whole answer, got ${reason(cause)}`, { cause });
    });
  });
  const { commit, files } = parseAnswer(address, answer);
  return {
    name,
    commit,
    files,
    async open(file): Promise<ByteSource> {
      const known = files.get(file);
      if (!known) throw new NotFoundError(`${name}: expected a file ${file}, got none at commit ${commit.slice(0, 8)}`);
      const path = file.split('/').map(encodeURIComponent).join('/');
      const source = await urlSource(`${endpoint}/${repository}/resolve/${commit}/${path}`, http);
      if (source.size === known.size) return source;
      await source.close();
      throw new FormatError(`${source.name}: expected ${known.size} bytes as the hub lists them, got ${source.size}`);
    },
  };
}

function parseAnswer(
  address: string,
  answer: string,
): { readonly commit: string; readonly files: ReadonlyMap<string, HubFile> } {
  const { sha, siblings } = record(parseJson(address, answer));
  if (typeof sha !== 'string' || !/^[0-9a-f]{40}$/.test(sha) || !Array.isArray(siblings))
    throw new FormatError(`${address}: expected a commit and a list of files, got something else; is it a hub?`);
  const files = new Map<string, HubFile>();
  for (const sibling of siblings) {
    const { rfilename: name, size, lfs, blobId } = record(sibling);
    if (typeof name !== 'string' || !isSize(size))
      throw new FormatError(`${address}: expected a name and size of every file, got ${JSON.stringify(name)}`);
    files.set(name, { name, size, digest: digestOf(`${address}: ${name}`, lfs, blobId) });
  }
  return { commit: sha, files };
}

function parseJson(address: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`${address}: expected JSON, got ${String(cause)}`, { cause });
  }
}

/** The fields of an object; of anything else, none. */
function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function digestOf(place: string, lfs: unknown, blobId: unknown): Digest | undefined {
  const { sha256, oid = sha256 } = record(lfs);
  const hex = lfs ? oid : blobId;
  if (hex === undefined) return undefined;
  if (typeof hex !== 'string' || !(lfs ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{40}$/).test(hex))
    throw new FormatError(`${place}: expected a hash in hex, got ${JSON.stringify(hex)}`);
  return { kind: lfs ? 'sha256' : 'git-sha1', hex };
}
