/** Which models a checkpoint is of, told by the names and shapes of its tensors. */

import type { Checkpoint } from '../tensor/checkpoint/checkpoint.ts';
import { sameShape } from '../tensor/shape.ts';
import type { Part, Preset } from './preset.ts';
import { MODEL_NAMES, modelPreset } from './registry.ts';
import { SizeLoader } from './size-loader.ts';

export interface Fit {
  readonly preset: Preset;
  readonly part: Part;
}

/** Presets of which a part takes all tensors of the checkpoint, and no other. Resolutions of one size share them. */
export async function fittingPresets(checkpoint: Checkpoint): Promise<Fit[]> {
  const fitting: Fit[] = [];
  for (const name of MODEL_NAMES) {
    const preset = modelPreset(name);
    for (const part of Object.keys(preset.parts) as Part[]) {
      const official = preset.withOfficialNames?.(checkpoint) ?? checkpoint;
      const sizes = new SizeLoader('f16', [], official);
      await preset.take(part, sizes);
      const { tensors } = official;
      const needed = [...tensors].filter(([name]) => !preset.ignored(part).some((pattern) => pattern.test(name)));
      const fits = needed.every(([name, { shape }]) => sameShape(sizes.shapes.get(name) ?? [], shape));
      if (fits && needed.length === sizes.shapes.size) fitting.push({ preset, part });
    }
  }
  return fitting;
}
