/** What crosses between a page and the worker that draws: calls, what comes back, and errors with their classes. */

import type { Retention } from '../cache/retention.ts';
import type { LineProgress } from '../generate-options.ts';
import type { ImageParts } from '../generated-image.ts';
import type { SamplingDefaults } from '../models/image-model.ts';
import type { Recipe } from '../recipe.ts';
import type { LoadProgress } from '../tensor/checkpoint/weights.ts';
import type { Counters } from '../tensor/counters.ts';
import * as errors from '../tensor/errors.ts';
import type { CompileProgress } from '../tensor/pipelines.ts';
import type { DownloadProgress } from '../tensor/source/file-cache.ts';

/** Plain data of a line's event. */
export type LineData = Pick<LineProgress, 'line' | 'lines' | 'kvBytes' | 'isPreviewDue'>;

/** What is told to the page while a call lasts. */
export interface Listener {
  onCompile(progress: CompileProgress): void | Promise<void>;
  onProgress(progress: LoadProgress): void | Promise<void>;
  onDownload(progress: DownloadProgress): void | Promise<void>;
  /** Awaited. */
  onLine(line: LineData): void | Promise<void>;
}

/** What the page knows of the runtime. */
export interface OpenedRuntime {
  readonly description: string;
  readonly maxBindingBytes: number;
}

/** How a runtime stands. */
export interface RuntimeStatus {
  readonly liveBytes: number;
  readonly peakBytes: number;
  readonly counters: Counters;
}

/** What the worker does for the page. `call` numbers a call that can be aborted, `model` a loaded model. */
export interface Thread {
  open(options: object, listener: Listener): Promise<Answer<OpenedRuntime>>;
  load(call: number, model: unknown, options: object, listener: Listener): Promise<Answer<LoadedModel>>;
  generate(call: number, model: number, options: object, listener: Listener): Promise<Answer<ImageParts[]>>;
  /** Of the line that `onLine` is being awaited for. */
  tokens(call: number): Promise<Answer<Uint32Array[]>>;
  preview(call: number): Promise<Answer<ImageParts[]>>;
  retained(call: number): Promise<Answer<Retention>>;
  recipe(
    model: number,
    options: object,
    image: number,
    loaded: Readonly<Record<string, string>>,
  ): Promise<Answer<Recipe>>;
  abort(call: number): void;
  adopt(canvas: number, surface: OffscreenCanvas): void;
  status(): Answer<RuntimeStatus>;
  dispose(model: number): Promise<void>;
  close(): Promise<void>;
}

export interface LoadedModel {
  readonly model: number;
  readonly name: string;
  readonly defaults: SamplingDefaults;
}

/** An error does not keep its class on the way. */
export type Answer<T> = { readonly value: T } | { readonly error: SentError };

export interface SentError {
  /** One of `KINDS`, or the name of an error that is not ours. */
  readonly kind: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** Of a DecodeError. */
  readonly tokens?: readonly Uint32Array<ArrayBuffer>[];
  /** Of an OutOfMemoryError. */
  readonly heldBytes?: number;
  /** Of a NotFiniteError. */
  readonly image?: number;
  readonly token?: number;
}

/** By names that bundlers leave as they are. */
const KINDS: Readonly<Record<string, new (message: string) => Error>> = {
  DeviceError: errors.DeviceError,
  DisposedError: errors.DisposedError,
  FormatError: errors.FormatError,
  NotFoundError: errors.NotFoundError,
  OptionError: errors.OptionError,
  ShapeError: errors.ShapeError,
  StorageError: errors.StorageError,
};

export function sentError(error: unknown): SentError {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  const own = { kind: name, message, stack };
  if (error instanceof errors.DecodeError) return { ...own, tokens: error.tokens };
  if (error instanceof errors.OutOfMemoryError) return { ...own, heldBytes: error.heldBytes };
  if (error instanceof errors.NotFiniteError) return { ...own, image: error.image, token: error.token };
  const kind = Object.keys(KINDS).find((one) => (error as Error)?.constructor === KINDS[one]);
  return kind === undefined ? own : { ...own, kind };
}

/** The error that was sent, of its class. */
export function receivedError({ kind, message, stack, tokens, heldBytes, image, token }: SentError): Error {
  return Object.assign(ofKind(), { stack });

  function ofKind(): Error {
    if (tokens) return new errors.DecodeError(message, tokens);
    if (heldBytes !== undefined) return new errors.OutOfMemoryError(message, heldBytes);
    if (image !== undefined && token !== undefined) return new errors.NotFiniteError(image, token);
    const known = KINDS[kind];
    return known ? new known(message) : Object.assign(new Error(message), { name: kind });
  }
}
