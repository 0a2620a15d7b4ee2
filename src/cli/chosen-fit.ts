import type { Fit } from '../models/fitting.ts';
import { modelName } from '../models/registry.ts';
import type { Checkpoint } from '../tensor/checkpoint/checkpoint.ts';
import { OptionError } from '../tensor/errors.ts';

/** The model that a command takes a checkpoint for: the one asked for, or the first that it fits. Throws OptionError for another. */
export function chosenFit(checkpoint: Checkpoint, fits: readonly Fit[], model: string | undefined): Fit | undefined {
  if (model === undefined) return fits[0];
  const name = modelName(model);
  const fit = fits.find(({ definition }) => definition.name === name);
  if (fit) return fit;
  const names = fits.map(({ definition }) => definition.name).join(', ') || 'none';
  throw new OptionError(`model: expected one that ${checkpoint.name} fits (${names}), got ${model}`);
}
