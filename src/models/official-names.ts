/** One name for a tensor, whatever saved the checkpoint. */

import type { Checkpoint, StoredTensor } from '../tensor/checkpoint/checkpoint.ts';
import { FormatError } from '../tensor/errors.ts';

/** What torch puts before every name of a model that is compiled or trained on several devices. */
const WRAPPERS = /^((_orig_mod|module)\.)+/;

/**
 * The same tensors under their official names. Closing stays with the checkpoint itself.
 *
 * Throws FormatError where two tensors would have the same name: the checkpoint mixes layouts.
 */
export function officialCheckpoint(
  checkpoint: Checkpoint,
  officialName: (name: string) => string = (name) => name,
): Checkpoint {
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of checkpoint.tensors) {
    const official = officialName(name.replace(WRAPPERS, ''));
    const other = tensors.get(official);
    if (other)
      throw new FormatError(
        `${checkpoint.name}: expected one tensor ${official}, got ${other.name} and ${name} for it`,
      );
    tensors.set(official, tensor);
  }
  return { ...checkpoint, tensors };
}
