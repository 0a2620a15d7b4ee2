/** Packages that a single option needs, and that nobody else has to install. */

import { OptionError } from '../tensor/errors.ts';

/**
 * What `load` imports. Asked for before a device is opened, so that a long run does not end in a missing package.
 *
 * Throws OptionError with the command that installs them.
 */
export async function optionalPackages<T>(
  option: string,
  names: readonly string[],
  load: () => Promise<T>,
): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    const wanted = names.join(' ');
    throw new OptionError(`${option}: expected the npm packages ${wanted}, got none; npm install ${wanted}`, { cause });
  }
}
