/**
 * The errors a caller can meet, by whose mistake it is. Every text reads
 * `place: expected <what>, got <what>[; remedy]`.
 */

import { printable } from './show.ts';

const MOST_CHARACTERS = 5000;

/**
 * Base of every error this library throws on purpose, so that one `instanceof` tells them from the rest. Its text names what
 * stands in files and addresses, so what a terminal would act upon is escaped in it, and it ends somewhere.
 */
export class RasterlineError extends Error {
  override readonly name: string = 'RasterlineError';

  constructor(message: string, options?: ErrorOptions) {
    const text = message.length > MOST_CHARACTERS ? `${message.slice(0, MOST_CHARACTERS)}...` : message;
    super(printable(text, { keepLines: true }), options);
  }
}

/** Tensors whose shapes or dtypes do not fit together. */
export class ShapeError extends RasterlineError {
  override readonly name = 'ShapeError';
}

/** No adapter, a missing feature or limit, a lost device, or a fault that WebGPU reported late. */
export class DeviceError extends RasterlineError {
  override readonly name: string = 'DeviceError';
}

/** The device has no memory for a buffer: a smaller batch, image or budget may fit. */
export class OutOfMemoryError extends DeviceError {
  override readonly name = 'OutOfMemoryError';

  constructor(
    message: string,
    /** Bytes that the runtime held when it asked for more. */
    readonly heldBytes: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * The device failed after all tokens had been drawn. `generate(model, { ...options, tokens: error.tokens })` goes on from
 * them, on another device if need be.
 */
export class DecodeError extends DeviceError {
  override readonly name = 'DecodeError';

  constructor(
    message: string,
    /** Of every image, ends of lines included. */
    readonly tokens: readonly Uint32Array<ArrayBuffer>[],
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Logits that are NaN or infinite: weights or activations are too large for their dtype. */
export class NotFiniteError extends RasterlineError {
  override readonly name = 'NotFiniteError';

  constructor(
    /** Which image of the run, and which of its tokens, from 0. */
    readonly image: number,
    readonly token: number,
  ) {
    super(
      `logits: expected finite numbers, got NaN or infinity for token ${token} of image ${image}; load the model with dtype f32, or check its weights`,
    );
  }
}

/** A file that is damaged, truncated, of another format, or not the checkpoint it is taken for. */
export class FormatError extends RasterlineError {
  override readonly name = 'FormatError';
}

/** A file that is not where it was looked for. */
export class NotFoundError extends FormatError {}

/** A cache that cannot be read or written, such as on a full disk. */
export class StorageError extends RasterlineError {
  override readonly name = 'StorageError';
}

/** An option outside what it may be. */
export class OptionError extends RasterlineError {
  override readonly name = 'OptionError';
}

/** Use of something after its `dispose()`. */
export class DisposedError extends RasterlineError {
  override readonly name = 'DisposedError';
}

/** Our own mistake: the text starts with `internal:`. */
export function assert(condition: unknown, text: string): asserts condition {
  if (!condition) throw new Error(`internal: ${text}`);
}
