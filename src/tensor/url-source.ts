/** A checkpoint on a server, read by HTTP ranges (RFC 9110, part 14), so that only what is asked for travels. */

import { type ByteSource, rangedSource } from './bytes.ts';
import { FormatError } from './errors.ts';

export interface UrlOptions {
  /** Ends the opening and every later read; they then reject with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Default: the platform's `fetch`. */
  readonly fetch?: typeof fetch;
}

/**
 * Asks the server for one byte, to learn the size and that it honours ranges.
 *
 * Throws FormatError when the file is not there, when ranges are ignored, or when an answer has another length.
 */
export async function urlSource(url: string | URL, options: UrlOptions = {}): Promise<ByteSource> {
  const name = String(url);
  const ask = (headers: Record<string, string>, method = 'GET') => request(name, { ...options, headers, method });

  const probe = await ask({ range: 'bytes=0-0' });
  await probe.body?.cancel();
  const size = probe.status === 416 ? 0 : (statedRange(probe)?.size ?? (await lengthOf(name, ask)));
  if (probe.status === 416 && statedRange(probe)?.size !== 0) throw unexpectedStatus(name, probe);

  return rangedSource({
    name,
    size,
    async readRange(offset, length) {
      const response = await ask({ range: `bytes=${offset}-${offset + length - 1}` });
      const stated = statedRange(response);
      if (stated && (stated.offset !== offset || stated.length !== length || stated.size !== size)) {
        await response.body?.cancel();
        const got = `content-range ${response.headers.get('content-range')}`;
        throw new FormatError(`${name}: expected bytes ${offset}-${offset + length - 1} of ${size}, got ${got}`);
      }
      return exactBody(name, response, length, options.signal);
    },
  });
}

/** A response with status 206, or 416 which the caller judges. */
async function request(name: string, options: UrlOptions & RequestInit): Promise<Response> {
  const { fetch: send = globalThis.fetch, ...init } = options;
  let response: Response;
  try {
    response = await send(name, init as RequestInit);
  } catch (cause) {
    options.signal?.throwIfAborted();
    throw new FormatError(`${name}: expected an answer from the server, got ${reason(cause)}`, { cause });
  }
  const isHead = init.method === 'HEAD';
  if (response.status === 206 || response.status === 416 || (isHead && response.ok)) return response;
  await response.body?.cancel();
  if (response.status === 200) {
    throw new FormatError(
      `${name}: expected status 206 (a part of the file), got 200; the server ignores ranges, so download the file and open it from there`,
    );
  }
  throw unexpectedStatus(name, response);
}

function unexpectedStatus(name: string, response: Response): FormatError {
  const remedy = response.status === 404 ? '; check the address' : '';
  return new FormatError(
    `${name}: expected status 206, got ${response.status} ${response.statusText}`.trimEnd() + remedy,
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
async function lengthOf(
  name: string,
  ask: (headers: Record<string, string>, method: string) => Promise<Response>,
): Promise<number> {
  const header = (await ask({}, 'HEAD')).headers.get('content-length') ?? '';
  if (!/^\d{1,15}$/.test(header)) {
    throw new FormatError(`${name}: expected a content-length, got ${header === '' ? 'none' : header}`);
  }
  return Number(header);
}

/** Reads no further than `length` bytes, whatever the server goes on to send. */
async function exactBody(
  name: string,
  response: Response,
  length: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  const reader = response.body?.getReader();
  let filled = 0;
  try {
    for (;;) {
      const part = await reader?.read();
      if (part?.value === undefined) break;
      if (part.value.length > length - filled) {
        await reader?.cancel();
        throw new FormatError(`${name}: expected an answer of ${length} bytes, got more`);
      }
      bytes.set(part.value, filled);
      filled += part.value.length;
    }
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof FormatError) throw cause;
    throw new FormatError(`${name}: expected ${length} bytes, got ${filled} and then ${reason(cause)}`, { cause });
  }
  if (filled < length) throw new FormatError(`${name}: expected an answer of ${length} bytes, got ${filled}`);
  return bytes;
}

function reason(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause instanceof Error ? `${cause.message} (${cause.cause.message})` : cause.message;
}
