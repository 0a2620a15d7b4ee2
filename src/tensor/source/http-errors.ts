/** What went wrong with a request, and whether another try may go better. */

import { FormatError, NotFoundError } from '../errors.ts';
import { printable } from '../show.ts';

/** An end that another try may not meet. */
export class TransientError extends FormatError {
  constructor(
    message: string,
    options?: ErrorOptions,
    /** How long the server asks to be left alone. */
    readonly waitMs = 0,
  ) {
    super(message, options);
  }
}

/** The longest that a server may ask us to wait. */
export const LONGEST_WAIT_MS = 60_000;

/** Source: RFC 9110, part 15, and RFC 6585 for 429. Other statuses of 5xx, such as 501, stay as they are. */
const TRANSIENT_STATUSES: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/** Causes that stay as they are: no such host, no certificate that holds, no address that can be asked. */
const PERMANENT_CAUSE =
  /ENOTFOUND|CERT|ERR_TLS|ERR_SSL|ERR_INVALID|UNABLE_TO_|SELF_SIGNED|redirect count|bad port|unknown scheme|invalid url|failed to parse/i;

/** The error for a status that was not asked for. */
export function statusError(name: string, { status, statusText, headers }: Response, expected: number): FormatError {
  const text = `${name}: expected status ${expected}, got ${status} ${printable(statusText.slice(0, 100))}`.trimEnd();
  if (status === 200)
    return new FormatError(`${text}; the server ignores ranges, so download the file and open it from there`);
  if (status === 404 || status === 410) return new NotFoundError(`${text}; check the address`);
  if (status === 401 || status === 403)
    return new FormatError(`${text}; give a token, and accept the license of the repository where it asks for that`);
  if (!TRANSIENT_STATUSES.has(status)) return new FormatError(text);
  const waitMs = retryAfter(headers.get('retry-after'));
  if (waitMs > LONGEST_WAIT_MS)
    return new FormatError(`${text}; the server asks to come back in ${Math.ceil(waitMs / 1000)} s`);
  return new TransientError(text, {}, waitMs);
}

/** The error for a request that got no answer, or whose answer broke off. `expected` is what was waited for. */
export function transportError(name: string, expected: string, cause: unknown): FormatError {
  const text = `${name}: expected ${expected}, got ${reason(cause)}`;
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const code = inner instanceof Error && 'code' in inner ? String(inner.code) : '';
  const isPermanent = PERMANENT_CAUSE.test(code) || PERMANENT_CAUSE.test(reason(cause));
  return isPermanent ? new FormatError(text, { cause }) : new TransientError(text, { cause });
}

/** Milliseconds: the header gives seconds or a date. */
function retryAfter(header: string | null): number {
  if (header === null) return 0;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? 0 : Math.max(0, date - Date.now());
}

function reason(cause: unknown): string {
  if (!(cause instanceof Error)) return 'no answer';
  return cause.cause instanceof Error ? `${cause.message} (${cause.cause.message})` : cause.message;
}
