/** The config.json beside a checkpoint. */

import { FormatError } from '../tensor/errors.ts';
import { expectWithin } from '../tensor/limits.ts';
import type { ByteSource } from '../tensor/source/bytes.ts';
import { isObject, parseJson } from '../tensor/source/json.ts';
import type { TransformersConfig } from './parts/transformers-config.ts';

/** Closes the source. Throws FormatError for anything but an object. */
export async function readConfigFile(source: ByteSource): Promise<TransformersConfig> {
  const { name, size } = source;
  try {
    expectWithin(name, 'configBytes', size);
    const config = parseJson(name, await source.read(0, size), 'a config.json');
    if (isObject(config)) return config;
    throw new FormatError(`${name}: expected an object, got a ${typeof config}; is it a config.json?`);
  } finally {
    await source.close();
  }
}
