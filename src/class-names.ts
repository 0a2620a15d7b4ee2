/** Class names of the embedded model. */

import { packagedSource } from '#source';
import { EMBEDDED_MODEL } from './models/registry.ts';
import { OptionError } from './tensor/errors.ts';

interface EmojiClass {
  readonly id: number;
  readonly name: string;
  readonly short: string;
  readonly emoji: string;
}

/** Ids of `wanted`: numbers, or for the embedded model names, short names or the characters. Throws OptionError with near names. */
export async function classIds(model: string, wanted: readonly string[]): Promise<number[]> {
  if (wanted.every((text) => /^-?\d+$/.test(text))) return wanted.map(Number);
  if (model !== EMBEDDED_MODEL) {
    throw new OptionError(
      `classes: expected class numbers for ${model}, got ${wanted.join(', ')}; only ${EMBEDDED_MODEL} knows names`,
    );
  }
  const source = await packagedSource('checkpoints/emoji/classes.json');
  const known = JSON.parse(new TextDecoder().decode(await source.read(0, source.size))) as EmojiClass[];
  await source.close();
  return wanted.map((text) => idOf(text, known));
}

function idOf(text: string, known: readonly EmojiClass[]): number {
  if (/^-?\d+$/.test(text)) return Number(text);
  const plain = text.toLowerCase();
  const found = known.find(({ name, short, emoji }) => name === plain || short === plain || emoji === text);
  if (found) return found.id;
  const words = plain.split(/\s+/);
  const near = known.filter(({ name, short }) => words.some((word) => name.includes(word) || short.includes(word)));
  const hint =
    near.length > 0
      ? `did you mean ${near
          .slice(0, 5)
          .map(({ short }) => short)
          .join(', ')}?`
      : 'checkpoints/emoji/classes.json lists them';
  throw new OptionError(`classes: expected a class of the emoji model, got '${text}'; ${hint}`);
}
