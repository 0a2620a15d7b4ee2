/** Files in Node: from the disk, and kept on it. */

export { fileCache } from './file-cache-node.ts';
export { fileSource, folderSet, packagedSource } from './file-node.ts';
export { writeWhole } from './write-node.ts';

/** In Node a name is a path from the working directory, a URL or a name of a hub, as it stands. */
export function absoluteName(name: string): string {
  return name;
}
