/**
 * A repository of the Hugging Face hub as a set of files, pinned to one commit.
 *
 *     GET {endpoint}/api/models/{owner/name}/revision/{revision}?blobs=true      commit, and size and hash of every file
 *     GET {endpoint}/{owner/name}/resolve/{commit}/{file}                        bytes, by ranges
 *
 * One request tells all that is needed to verify a download. Source: the hub's API as huggingface_hub uses it.
 */

import { FormatError, NotFoundError, OptionError } from '../errors.ts';
import { expectWithin } from '../limits.ts';
import { checkOptions, type OptionTable, pickOptions } from '../options.ts';
import { show } from '../show.ts';
import type { ByteSource } from './bytes.ts';
import type { Digest } from './file-cache.ts';
import type { FileSet } from './file-set.ts';
import { HTTP_OPTIONS, type HttpOptions, request, retried } from './http.ts';
import { wholeBody } from './http-body.ts';
import { isObject, type JsonObject, parseJson } from './json.ts';
import { URL_OPTIONS, urlSource } from './url-source.ts';

export interface HubOptions extends HttpOptions {
  /** Default `https://huggingface.co`. */
  readonly endpoint?: string;
  /** For private and gated repositories. It is sent to the endpoint, and dropped where that sends us to another host. */
  readonly token?: string;
}

export const HUB_OPTIONS: OptionTable<HubOptions> = {
  place: 'openHub',
  options: {
    ...HTTP_OPTIONS,
    endpoint: {
      expected: 'an address such as https://huggingface.co',
      fits: (value): value is string =>
        typeof value === 'string' && /^https?:\/\/[^\s@?#]+$/.test(value) && URL.canParse(value),
    },
    token: {
      expected: 'a token: visible characters, no spaces or line breaks',
      isSecret: true,
      fits: (value): value is string => typeof value === 'string' && /^[\x21-\x7e]{1,4096}$/.test(value),
    },
  },
};

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
  /** A branch, a tag, a commit, or a reference such as `refs/pr/3`; in a name, the slash of a branch is written `%2F`. */
  readonly revision: string;
  readonly file: string | undefined;
}

const NAME = /^hf:([\w.-]+\/[\w.-]+)(?:@(refs\/[\w-]+\/[\w.-]+|(?:[\w.-]|%2F)+))?(?:\/([\w./-]+))?$/i;

/** Parses a name of the hub; undefined for anything else. Throws OptionError for one that is malformed. */
export function hubName(text: string): HubName | undefined {
  if (!text.startsWith('hf:')) return undefined;
  const [, repository, revision = 'main', file] = NAME.exec(text) ?? [];
  if (!repository || text.includes('..'))
    throw new OptionError(
      `source: expected hf:owner/name, with @revision and /file if need be (%2F for a slash in a branch), got ${show(text)}`,
    );
  return { repository, revision: revision.replaceAll(/%2F/gi, '/'), file };
}

/** Whether a revision always stands for the same files. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/** Asks the hub which commit a revision is, and what files it has. Throws NotFoundError, FormatError. */
export async function listHub(
  { repository, revision }: HubName,
  given: HubOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const { endpoint, http } = hubHttp(given);
  const address = `${endpoint}/api/models/${repository}/revision/${encodeURIComponent(revision)}?blobs=true`;
  return await retried(address, http, async (attempt) => {
    const response = await request(address, http, { signal: attempt.signal }, [200]);
    return await wholeBody(address, response, 'listingBytes', attempt);
  });
}

/** A repository by what the hub, or a cache of its answers, says of it. Throws FormatError for another commit's listing. */
export function readHub(name: HubName, listing: Uint8Array, given: HubOptions = {}): HubRepository {
  const { endpoint, http } = hubHttp(given);
  const { repository, revision } = name;
  const place = `hf:${repository}@${revision}`;
  const { commit, files } = parseListing(`${place}: listing`, parseJson(`${place}: listing`, listing));
  if (isCommit(revision) && commit !== revision)
    throw new FormatError(`${place}: expected the listing of this commit, got that of ${commit}`);
  return {
    name: place,
    commit,
    files,
    async open(file): Promise<ByteSource> {
      const known = files.get(file);
      if (!known)
        throw new NotFoundError(`${place}: expected a file ${file}, got none at commit ${commit.slice(0, 8)}`);
      const path = file.split('/').map(encodeURIComponent).join('/');
      const source = await urlSource(`${endpoint}/${repository}/resolve/${commit}/${path}`, http);
      if (source.size === known.size) return source;
      await source.close();
      throw new FormatError(`${source.name}: expected ${known.size} bytes as the hub lists them, got ${source.size}`);
    },
  };
}

export async function openHub(name: HubName, options: HubOptions = {}): Promise<HubRepository> {
  return readHub(name, await listHub(name, options), options);
}

function hubHttp(given: HubOptions): { readonly endpoint: string; readonly http: HttpOptions } {
  const options = checkOptions(HUB_OPTIONS, given);
  const { endpoint = 'https://huggingface.co', token } = options;
  const headers = { ...options.headers, ...(token && { authorization: `Bearer ${token}` }) };
  return { endpoint: endpoint.replace(/\/$/, ''), http: pickOptions(URL_OPTIONS, { ...options, headers }) };
}

function parseListing(place: string, answer: unknown): Pick<HubRepository, 'commit' | 'files'> {
  const { sha, siblings } = fields(answer);
  if (typeof sha !== 'string' || !isCommit(sha) || !Array.isArray(siblings))
    throw new FormatError(`${place}: expected a commit and a list of files, got something else; is it a hub?`);
  expectWithin(place, 'listedFiles', siblings.length);
  const files = new Map<string, HubFile>();
  for (const sibling of siblings) {
    const { rfilename: name, size, lfs, blobId } = fields(sibling);
    if (typeof name !== 'string' || !isSize(size))
      throw new FormatError(`${place}: expected a name and size of every file, got ${show(name)}`);
    files.set(name, { name, size, digest: digestOf(`${place}: ${name}`, lfs, blobId) });
  }
  return { commit: sha, files };
}

/** The fields of an object; of anything else, none. */
function fields(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function digestOf(place: string, lfs: unknown, blobId: unknown): Digest | undefined {
  const { sha256, oid = sha256 } = fields(lfs);
  const hex = lfs ? oid : blobId;
  if (hex === undefined) return undefined;
  if (typeof hex !== 'string' || !(lfs ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{40}$/).test(hex))
    throw new FormatError(`${place}: expected a hash in hex, got ${show(hex)}`);
  return { kind: lfs ? 'sha256' : 'git-sha1', hex };
}
