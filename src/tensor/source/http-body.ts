/** Bodies of answers: counted as they come, and never read further than was asked for. */

import { FormatError } from '../errors.ts';
import { expectWithin, type LimitName } from '../limits.ts';
import type { Attempt } from './http.ts';
import { TransientError, transportError } from './http-errors.ts';

/**
 * A whole body. Throws FormatError, which names the limit, as soon as there is more, unpacked if it came packed; and
 * TransientError when it breaks off.
 */
export async function wholeBody(
  name: string,
  response: Response,
  limit: LimitName,
  attempt: Attempt,
): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const part of bodyParts(name, response, attempt)) {
    size += part.length;
    expectWithin(name, limit, Math.max(size, Number(response.headers.get('content-length') ?? 0)));
    parts.push(part);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** Fills `bytes` with the body and says how far each time. Throws FormatError for more, TransientError for less. */
export async function* fill(
  name: string,
  response: Response,
  bytes: Uint8Array,
  attempt: Attempt,
): AsyncGenerator<number> {
  let filled = 0;
  for await (const part of bodyParts(name, response, attempt)) {
    if (part.length > bytes.length - filled)
      throw new FormatError(`${name}: expected an answer of ${bytes.length} bytes, got more`);
    bytes.set(part, filled);
    filled += part.length;
    yield part.length;
  }
  if (filled < bytes.length)
    throw new TransientError(`${name}: expected an answer of ${bytes.length} bytes, got ${filled}`);
}

/** The body as it comes; whatever the server goes on to send when nobody reads on is let go. */
async function* bodyParts(
  name: string,
  response: Response,
  { signal, alive }: Attempt,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reader = response.body?.getReader();
  let size = 0;
  try {
    for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
      signal.throwIfAborted(); // a fetch that does not heed its signal: another try is under way
      alive(part.value.length);
      size += part.value.length;
      yield part.value;
    }
  } catch (cause) {
    signal.throwIfAborted();
    throw transportError(name, `a whole answer after ${size} bytes`, cause);
  } finally {
    void reader?.cancel().catch(() => undefined);
  }
  signal.throwIfAborted();
}
