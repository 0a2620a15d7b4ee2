/** What went wrong, in words for a person, and what to do about it. */

import { DecodeError, DeviceError, FormatError, NotFoundError, StorageError } from 'rasterline';

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

export function wordsFor(error: unknown): string {
  const { message, name } = error instanceof Error ? error : new Error(String(error));
  if (error instanceof DeviceError && /null|adapter/.test(message))
    return `The browser has WebGPU, but gave no graphics device. Hardware acceleration may be off, or this GPU may be on its block list. (${message})`;
  if (error instanceof DeviceError) return `The graphics device was lost or ran out of memory. The lines drawn so far are safe. (${message})`;
  if (error instanceof StorageError && /expected room/.test(message)) return `There is not enough room for this download. ${message}`;
  if (error instanceof StorageError || name === 'SecurityError')
    return `The browser does not let this page keep files: storage is full, blocked, or this is a private window. ${message}`;
  if (error instanceof NotFoundError || /status 404/.test(message)) return `That file or repository is not there. ${message}`;
  if (/status 40[13]/.test(message)) return `The hub does not give this repository without rights to it: accept its conditions there, or choose another. ${message}`;
  if (error instanceof FormatError) return `That file is not a checkpoint of this model, or it is damaged. ${message}`;
  return message;
}
