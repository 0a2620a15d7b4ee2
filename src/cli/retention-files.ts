/** What each setting still remembers of the first image, written as pictures and as animations. */

import { extname } from 'node:path';
import type { Retention } from '../cache/retention.ts';
import type { CompareSetting } from '../compare.ts';
import { type GenerateOptions, generate } from '../generate.ts';
import type { ImageModel } from '../models/image-model.ts';
import { encodePng } from '../png.ts';
import { writeWhole } from '../tensor/source/write-node.ts';
import { free, named } from './compare-outputs.ts';
import { openAnimation, type RetentionHistory, retentionMap } from './retention-map.ts';

export interface RetentionFlags {
  readonly retention?: string;
  readonly animation?: string;
}

/** Finds the package and the places of all files; gives what writes those of a setting, or nothing if none is asked for. */
export async function openRetention(
  { retention, animation }: RetentionFlags,
  settings: readonly CompareSetting[],
  lines: number,
): Promise<((setting: number, history: RetentionHistory) => Promise<void>) | undefined> {
  if (retention === undefined && animation === undefined) return undefined;
  const encode = animation === undefined ? undefined : await openAnimation();
  const places = (option: string, path: string, suffix: string) =>
    Promise.all(
      settings.map((setting) => free(option, settings.length === 1 ? path : beside(path, setting, lines), suffix)),
    );
  const maps = retention === undefined ? [] : await places('retention', retention, '.png');
  const animations = animation === undefined ? [] : await places('animation', animation, '.gif');
  return async (setting, history) => {
    if (maps[setting] !== undefined) await writeWhole(maps[setting], encodePng(retentionMap(history)));
    if (encode && animations[setting] !== undefined) await writeWhole(animations[setting], await encode(history));
  };
}

/** `map.png` of several settings: `map-line-ar-3.png`, with lines in parallel `map-line-ar-3-8.png`. */
function beside(path: string, setting: CompareSetting, lines: number): string {
  const { policy, budgetLines } = named(setting, lines);
  const window = setting.parallel ? `-${setting.parallel.window}` : '';
  const suffix = extname(path);
  return `${path.slice(0, path.length - suffix.length)}-${policy}-${budgetLines}${window}${suffix}`;
}

/** Draws once more, and asks at the end of every line. */
export async function retentionHistory<Prompt>(
  model: ImageModel<Prompt>,
  options: GenerateOptions<Prompt>,
): Promise<RetentionHistory> {
  const ends: Retention[] = [];
  const onLine: GenerateOptions<Prompt>['onLine'] = async ({ retained }) => void ends.push(await retained());
  await generate(model, { ...options, onLine });
  return { lineLength: model.grid(options.prompt).lineLength, ends };
}
