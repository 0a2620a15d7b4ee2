/**
 * A folder of samples that is filled image by image, by any number of attempts. An image's name is its identity, which with
 * the seed decides what is drawn: whoever draws it, and however often, draws the same on one kind of driver.
 */

import { createHash } from 'node:crypto';
import { access, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OptionError, StorageError } from '../tensor/errors.ts';
import { removeAbandoned } from '../tensor/source/drafts-node.ts';
import { writeWhole } from '../tensor/source/write-node.ts';

const SETTINGS = 'sample.json';

/** Which folder a worker elsewhere is to write to. */
export interface FolderReference {
  readonly path: string;
  /** Of the settings in it, so that nothing is mixed. */
  readonly digest: string;
}

export class SampleFolder {
  private constructor(
    readonly path: string,
    private readonly settings: string,
  ) {}

  /** Throws OptionError for what is no folder, and for one of other settings: what is drawn must not be mixed. */
  static async open(path: string, settings: object): Promise<SampleFolder> {
    await mkdir(path, { recursive: true }).catch((cause: Error) => {
      throw new OptionError(`out: expected a folder, or a name that one can have, got ${path}: ${cause.message}`, {
        cause,
      });
    });
    await removeAbandoned(path);
    const text = `${JSON.stringify(settings, undefined, 2)}\n`;
    const file = join(path, SETTINGS);
    const found = await readFile(file, 'utf8').catch(() => undefined);
    if (found === undefined) await writeWhole(file, Buffer.from(text));
    else if (found !== text)
      throw new OptionError(`out: expected a folder of these settings, got others in ${file}; name another folder`);
    return new SampleFolder(path, text);
  }

  /** One that is open elsewhere. Throws StorageError where this machine does not see it. */
  static async join({ path, digest }: FolderReference): Promise<SampleFolder> {
    const found = await readFile(join(path, SETTINGS), 'utf8').catch((error: Error) => error);
    if (typeof found === 'string' && digestOf(found) === digest) return new SampleFolder(path, found);
    const got = typeof found === 'string' ? 'other settings' : found.message;
    throw new StorageError(
      `folder: expected ${path} with the settings of its job, got ${got}; start the worker where that folder is seen, or sample with --results queue`,
    );
  }

  get reference(): FolderReference {
    return { path: this.path, digest: digestOf(this.settings) };
  }

  file(image: number): string {
    return join(this.path, name(image));
  }

  async has(image: number): Promise<boolean> {
    return await access(this.file(image)).then(
      () => true,
      () => false,
    );
  }

  /** Of so many images, from `first` on, those that are not there yet. */
  async missing(images: number, first = 0): Promise<number[]> {
    const there = new Set(await readdir(this.path));
    return Array.from({ length: images }, (_, i) => first + i).filter((image) => !there.has(name(image)));
  }

  /** Whole or not at all. Throws StorageError, on a full disk for one. */
  async write(image: number, png: Uint8Array): Promise<void> {
    await writeWhole(this.file(image), png).catch((cause: Error) => {
      throw new StorageError(`${cause.message}; what is there is not drawn again`, { cause });
    });
  }
}

function name(image: number): string {
  return `${String(image).padStart(6, '0')}.png`;
}

export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
