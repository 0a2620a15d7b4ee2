/** Which models a checkpoint is of, told by the names and shapes of its tensors. */

import type { Checkpoint } from '../tensor/checkpoint/checkpoint.ts';
import { FormatError } from '../tensor/errors.ts';
import type { ModelDefinition, Part, PartDefinition } from './family.ts';
import { officialCheckpoint } from './official-names.ts';
import { MODEL_NAMES, modelDefinition, type Prompt } from './registry.ts';
import { misfit } from './weights/stored-shapes.ts';

export interface Fit {
  readonly definition: ModelDefinition<Prompt>;
  readonly part: Part;
}

/** Models of which a part takes all tensors of the checkpoint, and no other. Resolutions of one size share them. */
export function fittingModels(
  checkpoint: Checkpoint,
  definitions: readonly ModelDefinition<Prompt>[] = MODEL_NAMES.map((name) => modelDefinition(name)),
): Fit[] {
  return definitions.flatMap((definition) =>
    Object.entries(definition.parts)
      .filter(([, part]: [string, PartDefinition]) => fits(checkpoint, part))
      .map(([part]) => ({ definition, part: part as Part })),
  );
}

function fits(checkpoint: Checkpoint, { weights, ignored, officialName }: PartDefinition): boolean {
  try {
    return misfit(weights, officialCheckpoint(checkpoint, officialName), ignored) === undefined;
  } catch (error) {
    if (error instanceof FormatError) return false; // two tensors of one name
    throw error;
  }
}
