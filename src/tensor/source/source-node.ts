/** Files in Node: from the disk, and kept on it. */

export { fileCache } from './file-cache-node.ts';
export { fileSource, folderSet, packagedSource } from './file-node.ts';
