import { type Fit, fittingModels } from '../models/fitting.ts';
import { officialCheckpoint } from '../models/official-names.ts';
import { type FamilyModel, modelDefinition, modelName } from '../models/registry.ts';
import { expectFit } from '../models/weights/stored-shapes.ts';
import type { Checkpoint } from '../tensor/checkpoint/checkpoint.ts';
import { OptionError } from '../tensor/errors.ts';

/** The model that a command takes a checkpoint for: the one asked for, or the first that it fits. Throws OptionError for another. */
export function chosenFit(
  checkpoint: Checkpoint,
  fits: readonly Fit[],
  model: string | FamilyModel | undefined,
): Fit | undefined {
  if (model === undefined) return fits[0];
  if (typeof model === 'object') return fitOf(checkpoint, model);
  const name = modelName(model);
  const fit = fits.find(({ definition }) => definition.name === name);
  if (fit) return fit;
  const names = fits.map(({ definition }) => definition.name).join(', ') || 'none';
  throw new OptionError(`model: expected one that ${checkpoint.name} fits (${names}), got ${model}`);
}

/** Throws FormatError, saying what is amiss, for a checkpoint of other sizes. */
function fitOf(checkpoint: Checkpoint, model: FamilyModel): Fit {
  const definition = modelDefinition(model);
  const part = fittingModels(checkpoint, [definition])[0]?.part ?? 'checkpoint';
  const { weights, ignored, officialName } = definition.parts[part]!; // of this model
  expectFit(weights, officialCheckpoint(checkpoint, officialName), ignored);
  return { definition, part };
}
