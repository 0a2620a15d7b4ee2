/** A checkpoint on a server, read by HTTP ranges (RFC 9110, part 14), so that only what is asked for travels. */

import { FormatError } from '../errors.ts';
import { type ByteSource, bytesSource, rangedSource } from './bytes.ts';
import { type Attempt, drop, type HttpOptions, reason, request, retried, TransientError } from './http.ts';

export type UrlOptions = HttpOptions;

/** (ours) Largest file that is taken whole from a server that ignores ranges. */
const WHOLE_FILE_BYTES = 64 * 2 ** 20;

/**
 * Asks the server for one byte, to learn the size and that it honors ranges. One that ignores them, as simple development
 * servers do, sends the whole file: up to 64 MiB are kept in memory and read from there.
 *
 * Throws FormatError when the file is not there, when a larger one comes whole, when an answer has another length, when the
 * file changes between two reads, and when nothing arrives in time, try after try.
 */
export async function urlSource(url: string | URL, options: UrlOptions = {}): Promise<ByteSource> {
  const name = String(url);
  const probed = await probe(name, options);
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
        const response = await part(name, options, attempt, first, offset + length - 1);
        await expectSame(name, response, { first, length: rest.length, size, tag });
        for await (const count of fill(name, response, rest, attempt)) filled += count;
      });
      return bytes;
    },
  });
}

interface Probed {
  readonly size: number;
  /** The file's etag; undefined where a browser hides it across origins. */
  readonly tag: string | undefined;
}

/** What one byte tells of the file, or all of it from a server that ignores ranges. */
async function probe(name: string, options: UrlOptions): Promise<Probed | Uint8Array> {
  return await retried(name, options, async (attempt) => {
    const response = await part(name, options, attempt, 0, 0, [206, 200, 416]);
    if (response.status === 200) return await whole(name, response, attempt);
    await drop(response);
    const tag = response.headers.get('etag') ?? undefined;
    const stated = statedRange(response);
    if (response.status === 416) {
      if (stated?.size === 0) return { size: 0, tag };
      throw new FormatError(`${name}: expected status 206, got 416`);
    }
    return { size: stated?.size ?? (await lengthOf(name, options, attempt)), tag };
  });
}

/** Bytes [first, last]. */
async function part(
  name: string,
  options: UrlOptions,
  { signal }: Attempt,
  first: number,
  last: number,
  accepted: readonly number[] = [206],
): Promise<Response> {
  const init = { signal, headers: { range: `bytes=${first}-${last}` } };
  const response = await request(name, options, init, [...accepted, 200]);
  if (accepted.includes(response.status)) return response;
  await drop(response);
  throw rangesIgnored(name, '200');
}

/** The body of an answer, at most WHOLE_FILE_BYTES of it. */
async function whole(name: string, response: Response, { signal, alive }: Attempt): Promise<Uint8Array> {
  const stated = Number(response.headers.get('content-length') ?? 0);
  const parts: Uint8Array[] = [];
  let size = 0;
  const tooLarge = () => rangesIgnored(name, `all of its ${Math.max(stated, size)} bytes or more`);
  if (stated > WHOLE_FILE_BYTES) {
    await drop(response);
    throw tooLarge();
  }
  const reader = response.body?.getReader();
  try {
    for (let part = await reader?.read(); part?.value && !signal.aborted; part = await reader?.read()) {
      alive();
      parts.push(part.value);
      size += part.value.length;
      if (size <= WHOLE_FILE_BYTES) continue;
      await reader?.cancel();
      throw tooLarge();
    }
  } catch (cause) {
    if (signal.aborted || cause instanceof FormatError) throw signal.aborted ? signal.reason : cause;
    throw new TransientError(`${name}: expected the whole file, got ${size} bytes and then ${reason(cause)}`, {
      cause,
    });
  }
  signal.throwIfAborted();
  return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
}

function rangesIgnored(name: string, got: string): FormatError {
  const most = WHOLE_FILE_BYTES / 2 ** 20;
  return new FormatError(
    `${name}: expected status 206 (a part of the file), or at most ${most} MiB, got ${got}; the server ignores ranges, so download the file and open it from there`,
  );
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
async function lengthOf(name: string, options: UrlOptions, { signal }: Attempt): Promise<number> {
  const response = await request(name, options, { signal, method: 'HEAD' }, [200, 206]);
  const header = response.headers.get('content-length') ?? '';
  if (/^\d{1,15}$/.test(header)) return Number(header);
  throw new FormatError(`${name}: expected a content-length, got ${header === '' ? 'none' : header}`);
}

/** Fills `bytes` with the body and says how far each time; reads no further, whatever the server goes on to send. */
async function* fill(
  name: string,
  response: Response,
  bytes: Uint8Array,
  { signal, alive }: Attempt,
): AsyncGenerator<number> {
  const reader = response.body?.getReader();
  let filled = 0;
  try {
    for (;;) {
      const part = await reader?.read();
      if (signal.aborted) break; // a fetch that does not heed its signal: another try is under way
      if (part?.value === undefined) break;
      alive();
      if (part.value.length > bytes.length - filled) {
        await reader?.cancel();
        throw new FormatError(`${name}: expected an answer of ${bytes.length} bytes, got more`);
      }
      bytes.set(part.value, filled);
      filled += part.value.length;
      yield part.value.length;
    }
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    if (cause instanceof FormatError) throw cause;
    throw new TransientError(`${name}: expected ${bytes.length} bytes, got ${filled} and then ${reason(cause)}`, {
      cause,
    });
  }
  if (signal.aborted) throw signal.reason;
  if (filled < bytes.length)
    throw new TransientError(`${name}: expected an answer of ${bytes.length} bytes, got ${filled}`);
}
