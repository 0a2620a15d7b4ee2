/** Requests that end in time, and are tried again where another try may help. */

import { callback, signal, whole } from '../checks.ts';
import type { Check, OptionTable } from '../options.ts';
import { LONGEST_WAIT_MS, statusError, TransientError, transportError } from './http-errors.ts';

export interface HttpOptions {
  /** Ends everything at once; what waits rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Default: the platform's `fetch`. */
  readonly fetch?: typeof fetch;
  /**
   * Longest time without a byte, in milliseconds. Default 30000. An answer as a whole may take as long, and a millisecond more
   * for every 16 bytes that have come: a server that sends less than 16 kB/s is given up.
   */
  readonly timeoutMs?: number;
  /**
   * How often a request is tried again after a cut connection, a timeout, or a status that says so (408, 425, 429, 500, 502,
   * 503, 504). Default 4.
   */
  readonly retries?: number;
  /**
   * Wait before the first retry, doubled for each further one up to a minute, in milliseconds. Default 500. A server's
   * `Retry-After` counts where it is longer; of more than a minute it is an error.
   */
  readonly retryDelayMs?: number;
  /** Sent with every request. Browsers and Node drop `authorization` when a server sends them on to another host. */
  readonly headers?: Readonly<Record<string, string>>;
}

const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/;
/** Visible characters and spaces: a line break would begin another header. */
const HEADER_VALUE = /^[\x20-\x7e\u00a0-\u00ff]{0,8192}$/;

/** Headers hold secrets: they are never shown. */
const headers: Check<Readonly<Record<string, string>>> = {
  expected: 'an object of header names and values of one line',
  isSecret: true,
  fits: (value): value is Readonly<Record<string, string>> =>
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.entries(value).every(
      ([name, text]) => HEADER_NAME.test(name) && typeof text === 'string' && HEADER_VALUE.test(text),
    ),
};

/** setTimeout takes no more milliseconds. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;
const SLOWEST_BYTES_PER_MS = 16;

export const HTTP_OPTIONS: OptionTable<HttpOptions>['options'] = {
  signal,
  fetch: callback<typeof fetch>(),
  timeoutMs: whole(1, LONGEST_TIMEOUT_MS),
  retries: whole(0, 100),
  retryDelayMs: whole(0, LONGEST_WAIT_MS),
  headers,
};

/** What a try is given: a signal to pass on, and `alive` to call with the number of bytes that have arrived. */
export interface Attempt {
  readonly signal: AbortSignal;
  alive(bytes: number): void;
}

/** Runs `attempt` until it ends in anything but a TransientError, at most `retries` times more. */
export async function retried<T>(
  name: string,
  options: HttpOptions,
  attempt: (attempt: Attempt) => Promise<T>,
): Promise<T> {
  const { retries = 4, retryDelayMs = 500 } = options;
  for (let failures = 0; ; failures++) {
    let waitMs = 0;
    try {
      return await timed(name, options, attempt);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof TransientError) || failures >= retries) throw error;
      waitMs = error.waitMs;
    }
    await pause(Math.max(waitMs, Math.min(retryDelayMs * 2 ** failures, LONGEST_WAIT_MS)), options.signal);
  }
}

/** The response, if its status is one of `accepted`. Throws NotFoundError, TransientError or FormatError for others. */
export async function request(
  name: string,
  options: HttpOptions,
  init: {
    /** Default: the name. */
    readonly url?: string;
    readonly signal: AbortSignal;
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
  },
  accepted: readonly number[],
): Promise<Response> {
  const { fetch: send = globalThis.fetch } = options;
  const { url = name, ...rest } = init;
  let response: Response;
  try {
    response = await send(url, { ...rest, headers: { ...options.headers, ...init.headers } });
  } catch (cause) {
    if (init.signal.aborted) throw init.signal.reason;
    throw transportError(name, 'an answer from the server', cause);
  }
  if (accepted.includes(response.status)) return response;
  await drop(response);
  throw statusError(name, response, accepted[0] ?? 200);
}

/** Ends a body that nobody reads; that it had broken off already is no error. */
export async function drop(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => undefined);
}

/** Ends the attempt when the caller does, when nothing has arrived for a while, or when it takes too long as a whole. */
async function timed<T>(name: string, options: HttpOptions, attempt: (attempt: Attempt) => Promise<T>): Promise<T> {
  const { signal, timeoutMs = 30000 } = options;
  signal?.throwIfAborted();
  const controller = new AbortController();
  const abort = () => controller.abort(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  const start = Date.now();
  let received = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = () => {
    const got = `${received} bytes in ${Date.now() - start} ms`;
    controller.abort(new TransientError(`${name}: expected bytes within ${timeoutMs} ms, and 16 kB/s, got ${got}`));
  };
  const alive = (bytes: number) => {
    received += bytes;
    clearTimeout(timer);
    const leftMs = start + timeoutMs + received / SLOWEST_BYTES_PER_MS - Date.now();
    timer = setTimeout(late, Math.min(timeoutMs, Math.max(0, leftMs)));
  };
  alive(0);
  try {
    // a fetch that does not heed its signal must not hold us up
    const ended = new Promise<never>((_, reject) => {
      controller.signal.addEventListener('abort', () => reject(controller.signal.reason), { once: true });
    });
    return await Promise.race([attempt({ signal: controller.signal, alive }), ended]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', end);
      resolve();
    }, ms);
    signal?.addEventListener('abort', end, { once: true });
  });
}
