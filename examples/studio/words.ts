/** What went wrong, in words for a person, and what to do about it. */

import { DecodeError, DeviceError, FormatError, NotFoundError, OutOfMemoryError, StorageError } from 'rasterline';

/** Why this page cannot draw here; undefined where it can. */
export function obstacle(): string | undefined {
  if (!isSecureContext)
    return 'Browsers give WebGPU to secure pages only, and this one came over plain http. Open it over https, or from localhost.';
  if (!navigator.gpu)
    return 'This browser does not offer WebGPU. Use a current Chrome, Edge, Firefox or Safari, and see that hardware acceleration is on in its settings.';
  return undefined;
}

/** Whether the device failed, so that a new one can go on from the last line. */
export function isLoss(error: unknown): boolean {
  return error instanceof DeviceError || error instanceof DecodeError;
}

/** The first that fits; the library's own words, with names and numbers, stand behind. */
const WORDS: readonly (readonly [(error: Error) => boolean, string])[] = [
  [
    (error) => error instanceof DeviceError && /^adapter:/.test(error.message),
    'The browser has WebGPU, but gave no graphics device. Hardware acceleration may be off, or this GPU may be on its block list.',
  ],
  [
    (error) => error instanceof OutOfMemoryError,
    'The graphics device has no memory left for this. Choose smaller weights, fewer lines, or a smaller model.',
  ],
  [(error) => error instanceof DeviceError, 'The graphics device was lost. The lines drawn so far are safe.'],
  [
    (error) => error instanceof StorageError && /expected room/.test(error.message),
    'There is not enough room for this download, so it was not begun. Delete other downloads below, or choose a smaller model.',
  ],
  [
    (error) => error instanceof StorageError || error.name === 'SecurityError',
    'The browser does not let this page keep files: storage is full, blocked, or this is a private window.',
  ],
  [
    ({ message }) => /got 40[13]\b/.test(message),
    'The hub does not give this without rights: see that the name is right, accept its conditions there, and give a token of yours; or download its files and choose them here.',
  ],
  [(error) => error instanceof NotFoundError, 'There is no such file or repository. See that its name is right, or choose files of this device.'],
  [
    ({ message }) => /expected (an answer|a whole answer|bytes within)|status \d+, got (429|5\d\d)/.test(message),
    'The network or the server failed. What has been downloaded is kept: draw again to go on with it.',
  ],
  [
    (error) => error instanceof FormatError,
    'That file is not a checkpoint of this model, or it is damaged. Choose another.',
  ],
];

export function wordsFor(error: unknown): string {
  const given = error instanceof Error ? error : new Error(String(error));
  const known = WORDS.find(([fits]) => fits(given));
  return known ? `${known[1]} (${given.message})` : given.message;
}
