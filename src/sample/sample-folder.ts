/**
 * A folder of samples that is filled image by image, by any number of attempts. An image's name is its identity, which with
 * the seed decides what is drawn: whoever draws it, and however often, draws the same on one kind of driver.
 */

import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OptionError } from '../tensor/errors.ts';
import { writeWhole } from '../tensor/source/write-node.ts';

const SETTINGS = 'sample.json';

export class SampleFolder {
  private constructor(private readonly path: string) {}

  /** Throws OptionError for what is no folder, and for one of other settings: what is drawn must not be mixed. */
  static async open(path: string, settings: object): Promise<SampleFolder> {
    await mkdir(path, { recursive: true }).catch((cause: Error) => {
      throw new OptionError(`out: expected a folder, or a name that one can have, got ${path}: ${cause.message}`, {
        cause,
      });
    });
    const text = `${JSON.stringify(settings, undefined, 2)}\n`;
    const file = join(path, SETTINGS);
    const found = await readFile(file, 'utf8').catch(() => undefined);
    if (found === undefined) await writeWhole(file, Buffer.from(text));
    else if (found !== text)
      throw new OptionError(`out: expected a folder of these settings, got others in ${file}; name another folder`);
    return new SampleFolder(path);
  }

  file(image: number): string {
    return join(this.path, `${String(image).padStart(6, '0')}.png`);
  }

  /** Of so many images, from `first` on, those that are not there yet. */
  async missing(images: number, first = 0): Promise<number[]> {
    const there = new Set(await readdir(this.path));
    const name = (image: number) => this.file(image).slice(this.path.length + 1);
    return Array.from({ length: images }, (_, i) => first + i).filter((image) => !there.has(name(image)));
  }

  async write(image: number, png: Uint8Array): Promise<void> {
    await writeWhole(this.file(image), png);
  }
}
