/** A checkpoint on a server, read by HTTP ranges (RFC 9110, part 14), so that only what is asked for travels. */

import { FormatError, OptionError } from '../errors.ts';
import { checkOptions, type OptionTable } from '../options.ts';
import { show } from '../show.ts';
import { type ByteSource, bytesSource, rangedSource } from './bytes.ts';
import { type Attempt, drop, HTTP_OPTIONS, type HttpOptions, request, retried } from './http.ts';
import { fill, wholeBody } from './http-body.ts';

export type UrlOptions = HttpOptions;

export const URL_OPTIONS: OptionTable<UrlOptions> = { place: 'urlSource', options: HTTP_OPTIONS };

/** An address, and the name that errors give it: without what may be secret in it. */
interface Place {
  readonly url: string;
  readonly name: string;
}

/**
 * Asks the server for one byte, to learn the size and that it honors ranges. One that ignores them, as simple development
 * servers do, sends the whole file: up to 64 MiB are kept in memory and read from there.
 *
 * Throws OptionError for what is no URL, and FormatError when the file is not there, when a larger one comes whole, when an
 * answer has another length, when the file changes between two reads, and when nothing arrives in time, try after try.
 */
export async function urlSource(url: string | URL, given: UrlOptions = {}): Promise<ByteSource> {
  const options = checkOptions(URL_OPTIONS, given);
  const place = placeOf(url);
  const { name } = place;
  const probed = await probe(place, options);
  if (probed instanceof Uint8Array) return bytesSource(name, probed);
  const { size, tag } = probed;
  return rangedSource({
    name,
    size,
    async readRange(offset, length) {
      const bytes = new Uint8Array(length);
      let filled = 0;
      await retried(name, options, async (attempt) => {
        const first = offset + filled;
        const rest = bytes.subarray(filled);
        const response = await part(place, options, attempt, [first, offset + length - 1], [206]);
        await expectSame(name, response, { first, length: rest.length, size, tag });
        for await (const count of fill(name, response, rest, attempt)) filled += count;
      });
      return bytes;
    },
  });
}

/** What a URL may hold beside the address, such as a signature, is not shown. */
function placeOf(given: string | URL): Place {
  const url = URL.canParse(String(given)) ? new URL(given) : undefined;
  if (!url) throw new OptionError(`url: expected an address such as https://host/file, got ${show(given)}`);
  if (url.username || url.password)
    throw new OptionError(`url: expected no user and password in it, got some for ${url.host}; give headers`);
  const name =
    url.protocol === 'data:' ? 'data: URL' : `${url.origin === 'null' ? url.protocol : url.origin}${url.pathname}`;
  return { url: url.href, name: url.search ? `${name}?...` : name };
}

interface Probed {
  readonly size: number;
  /** The file's etag; undefined where a browser hides it across origins. */
  readonly tag: string | undefined;
}

/** What one byte tells of the file, or all of it from a server that ignores ranges. */
async function probe(place: Place, options: UrlOptions): Promise<Probed | Uint8Array> {
  const { name } = place;
  return await retried(name, options, async (attempt) => {
    const response = await part(place, options, attempt, [0, 0], [206, 200, 416]);
    if (response.status === 200) return await wholeBody(name, response, 'wholeFileBytes', attempt);
    await drop(response);
    const tag = response.headers.get('etag') ?? undefined;
    const stated = statedRange(response);
    if (response.status === 416) {
      if (stated?.size === 0) return { size: 0, tag };
      throw new FormatError(`${name}: expected status 206, got 416`);
    }
    return { size: stated?.size ?? (await lengthOf(place, options, attempt)), tag };
  });
}

/** Bytes [first, last]. */
async function part(
  { url, name }: Place,
  options: UrlOptions,
  { signal }: Attempt,
  [first, last]: readonly [number, number],
  accepted: readonly number[],
): Promise<Response> {
  const init = { url, signal, headers: { range: `bytes=${first}-${last}` } };
  return await request(name, options, init, accepted);
}

async function expectSame(
  name: string,
  response: Response,
  { first, length, size, tag }: Probed & { readonly first: number; readonly length: number },
): Promise<void> {
  const stated = statedRange(response);
  const isRange = !stated || (stated.offset === first && stated.length === length && stated.size === size);
  const now = response.headers.get('etag') ?? undefined;
  if (isRange && (tag === undefined || now === undefined || now === tag)) return;
  await drop(response);
  const got = isRange ? `etag ${now}` : `content-range ${response.headers.get('content-range')}`;
  throw new FormatError(
    `${name}: expected bytes ${first}-${first + length - 1} of ${size}${isRange ? ` of etag ${tag}` : ''}, got ${got}; the file changed, open it again`,
  );
}

/** Parses `bytes 0-0/1234`; an empty file states a size of 0. Undefined where a browser hides the header across origins. */
function statedRange(response: Response): { offset: number; length: number; size: number } | undefined {
  const header = response.headers.get('content-range') ?? '';
  if (/^bytes \*\/0$/.test(header)) return { offset: 0, length: 0, size: 0 };
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(header);
  if (!match) return undefined;
  const [first, last, size] = match.slice(1).map(Number) as [number, number, number];
  return { offset: first, length: last - first + 1, size };
}

/** The content-length of a HEAD request: unlike content-range, a browser always shows it. */
async function lengthOf({ url, name }: Place, options: UrlOptions, { signal }: Attempt): Promise<number> {
  const response = await request(name, options, { url, signal, method: 'HEAD' }, [200, 206]);
  const header = response.headers.get('content-length') ?? '';
  if (/^\d{1,15}$/.test(header)) return Number(header);
  throw new FormatError(`${name}: expected a content-length, got ${header === '' ? 'none' : header}`);
}
