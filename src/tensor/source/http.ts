/** Requests that end in time and are tried again where another try may help. */

import { FormatError, NotFoundError } from '../errors.ts';

export interface HttpOptions {
  /** Ends everything at once; what waits rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Default: the platform's `fetch`. */
  readonly fetch?: typeof fetch;
  /** Longest time without a byte, in milliseconds. Default 30000. */
  readonly timeoutMs?: number;
  /** How often a request is tried again after a cut connection, a timeout, a 5xx or 429. Default 4. */
  readonly retries?: number;
  /** Wait before the first retry, doubled for each further one, in milliseconds. Default 500. */
  readonly retryDelayMs?: number;
  /** Sent with every request. Browsers and Node drop `authorization` when a server sends them on to another host. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** An end that another try may not meet. */
export class TransientError extends FormatError {}

/** What a try is given: a signal to pass on, and `alive` to call whenever bytes arrive. */
export interface Attempt {
  readonly signal: AbortSignal;
  alive(): void;
}

/** Runs `attempt` until it ends in anything but a TransientError, at most `retries` times more. */
export async function retried<T>(
  name: string,
  options: HttpOptions,
  attempt: (attempt: Attempt) => Promise<T>,
): Promise<T> {
  const { retries = 4, retryDelayMs = 500 } = options;
  for (let failures = 0; ; failures++) {
    try {
      return await timed(name, options, attempt);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof TransientError) || failures >= retries) throw error;
    }
    await pause(retryDelayMs * 2 ** failures, options.signal);
  }
}

/** The response, if its status is one of `accepted`. Throws NotFoundError, TransientError or FormatError for others. */
export async function request(
  name: string,
  options: HttpOptions,
  init: { readonly signal: AbortSignal; readonly method?: string; readonly headers?: Readonly<Record<string, string>> },
  accepted: readonly number[],
): Promise<Response> {
  const { fetch: send = globalThis.fetch } = options;
  let response: Response;
  try {
    response = await send(name, { ...init, headers: { ...options.headers, ...init.headers } });
  } catch (cause) {
    if (init.signal.aborted) throw init.signal.reason;
    throw new TransientError(`${name}: expected an answer from the server, got ${reason(cause)}`, { cause });
  }
  if (accepted.includes(response.status)) return response;
  await drop(response);
  throw statusError(name, response, accepted[0] ?? 200);
}

/** Ends a body that nobody reads; that it had broken off already is no error. */
export async function drop(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => undefined);
}

export function reason(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause instanceof Error ? `${cause.message} (${cause.cause.message})` : cause.message;
}

function statusError(name: string, { status, statusText }: Response, expected: number): FormatError {
  const text = `${name}: expected status ${expected}, got ${status} ${statusText}`.trimEnd();
  if (status === 404) return new NotFoundError(`${text}; check the address`);
  if (status === 401 || status === 403)
    return new FormatError(`${text}; give a token, and accept the license of the repository where it asks for that`);
  return status >= 500 || status === 429 ? new TransientError(text) : new FormatError(text);
}

/** Ends the attempt when the caller does, or when nothing has arrived for a while. */
async function timed<T>(name: string, options: HttpOptions, attempt: (attempt: Attempt) => Promise<T>): Promise<T> {
  const { signal, timeoutMs = 30000 } = options;
  signal?.throwIfAborted();
  const controller = new AbortController();
  const abort = () => controller.abort(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  const late = () => controller.abort(new TransientError(`${name}: expected bytes within ${timeoutMs} ms, got none`));
  let timer = setTimeout(late, timeoutMs);
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(late, timeoutMs);
  };
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
