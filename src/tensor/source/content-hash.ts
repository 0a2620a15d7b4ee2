/** Hashes of files as hubs tell them. Imported when a file is verified: most pages load no file of a hub. */

import { sha1 } from '@noble/hashes/legacy.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';

export interface ContentHash {
  update(bytes: Uint8Array): void;
  hex(): string;
}

/** Of the content, or of what git makes of it: sha1("blob <size>\0" + content). */
export function contentHash(kind: 'sha256' | 'git-sha1', size: number): ContentHash {
  const hash = kind === 'git-sha1' ? sha1.create().update(utf8ToBytes(`blob ${size}\0`)) : sha256.create();
  return { update: (bytes) => void hash.update(bytes), hex: () => bytesToHex(hash.digest()) };
}
