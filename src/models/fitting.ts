/** Which models a checkpoint is of, told by the names and shapes of its tensors. */

import type { Checkpoint, StoredTensor } from '../tensor/checkpoint.ts';
import { sameShape } from '../tensor/shape.ts';
import { MODEL_NAMES, modelPreset } from './load.ts';
import type { Part, Preset } from './preset.ts';
import { SizeLoader } from './size-loader.ts';

export interface Fit {
  readonly preset: Preset;
  readonly part: Part;
}

/** Presets of which a part takes all tensors of the checkpoint, and no other. Resolutions of one size share them. */
export async function fittingPresets({ tensors }: Checkpoint): Promise<Fit[]> {
  const fitting: Fit[] = [];
  for (const name of MODEL_NAMES) {
    const preset = modelPreset(name);
    for (const part of Object.keys(preset.parts) as Part[]) {
      const sizes = new SizeLoader('f16');
      await preset.take(part, sizes);
      const official = (name: string) => preset.officialName?.(name) ?? name;
      const needed = [...tensors.values()].filter(
        ({ name }) => !preset.ignored(part).some((pattern) => pattern.test(official(name))),
      );
      const fits = ({ name, shape }: StoredTensor) => sameShape(sizes.shapes.get(official(name)) ?? [], shape);
      if (needed.length === sizes.shapes.size && needed.every(fits)) fitting.push({ preset, part });
    }
  }
  return fitting;
}
