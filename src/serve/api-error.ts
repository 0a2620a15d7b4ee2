/** Errors in the form of OpenAI's API. */

import { DeviceError, OptionError, RasterlineError } from '../tensor/errors.ts';

export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly status: number,
    message: string,
    readonly more: {
      readonly code?: string;
      readonly param?: string;
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(message);
  }

  /** The body of the answer. */
  get body(): object {
    const { code = null, param = null } = this.more;
    const type =
      this.status === 429 ? 'rate_limit_error' : this.status < 500 ? 'invalid_request_error' : 'server_error';
    return { error: { message: this.message, type, param, code } };
  }
}

/** Options that have another name in a request, `prompt` being one of several things. */
const FIELDS: Readonly<Record<string, string>> = {
  ...{ classes: 'prompt', prompts: 'prompt', topK: 'top_k', topP: 'top_p' },
  ...{ guidanceScale: 'guidance_scale', cfgInterval: 'cfg_interval' },
};

/** What a client is told of anything that was thrown: of what is not its own fault, no more than that it happened. */
export function apiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof OptionError) {
    const { message } = error;
    const [, unknown] = /^body: expected no option '(.*?)'/.exec(message) ?? [];
    if (unknown !== undefined) return new ApiError(400, message, { param: unknown });
    const [, name = '', rest] = /^(\w+)(?:\[\d+\])?(: expected.*)/s.exec(message) ?? [];
    if (rest === undefined) return new ApiError(400, message);
    const param = Object.hasOwn(FIELDS, name) ? FIELDS[name]! : name;
    return new ApiError(400, `${param}${rest}`, { param });
  }
  if (error instanceof DeviceError) return new ApiError(503, error.message, { headers: { 'Retry-After': '5' } });
  if (error instanceof RasterlineError) return new ApiError(500, error.message);
  return new ApiError(500, 'expected to draw, got an error of the server; its log says more');
}
