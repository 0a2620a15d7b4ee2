/**
 * How much a file or a server may ask of us before anything of it is trusted. Each limit is far above what any released
 * checkpoint needs, and low enough that input which reaches it costs less than a second and 200 MB. (ours)
 */

import { FormatError } from './errors.ts';

interface Limit {
  readonly most: number;
  /** What is counted. */
  readonly of: string;
}

export const LIMITS = {
  /** A listing has about 300 bytes a file. */
  listingBytes: { most: 16 * 2 ** 20, of: 'bytes of a listing' },
  /** The largest repositories of models have some thousands. */
  listedFiles: { most: 50_000, of: 'files of a repository' },
  /** A file taken whole, because its server ignores ranges. */
  wholeFileBytes: {
    most: 64 * 2 ** 20,
    of: 'bytes (the server ignores ranges, so download the file and open it from there)',
  },
  /** A single read: the rows of a matrix are read 8 MiB at a time, so only a caller asks for more at once. */
  readBytes: { most: 2 ** 32, of: 'bytes in one read' },
  /** The deepest of the files we read, a tokenizer.json, has 7 levels. */
  jsonDepth: { most: 64, of: 'levels of JSON' },
  /** A vocabulary of 256,000 tokens with its merges has 1.3 million. */
  jsonValues: { most: 2_000_000, of: 'values of JSON' },
  /** An index of 100,000 tensors has about 10 MB. */
  indexBytes: { most: 32 * 2 ** 20, of: 'bytes of an index' },
  shards: { most: 1000, of: 'files of a checkpoint' },
  /** Room for as many tensors as follow at 250 bytes each. */
  headerBytes: { most: 32 * 2 ** 20, of: 'bytes of a safetensors header' },
  /** The checkpoint with the most, a mixture of 256 experts in 61 layers, has 91,000 in all its files. */
  tensors: { most: 2 ** 17, of: 'tensors of a file' },
  /** As torch itself. */
  rank: { most: 64, of: 'dimensions of a tensor' },
  metadataEntries: { most: 2 ** 14, of: 'entries of metadata' },
  /** An entry a storage, at about 100 bytes. */
  directoryBytes: { most: 2 ** 24, of: 'bytes of a zip directory' },
  /** Room for some 30,000 tensors. */
  pickleBytes: { most: 2 ** 22, of: 'bytes of a pickle' },
  /** An object may take a hundred times the byte that asks for it. */
  pickleObjects: { most: 2 ** 19, of: 'objects' },
  /** A pickler writes lists and dicts a thousand items at a time. */
  pickleStack: { most: 2 ** 16, of: 'values on the stack' },
  /** The longest name that means anything has 36. */
  pickleNameBytes: { most: 256, of: 'bytes of a name' },
  /** A view whose elements lie apart is gathered from all that lies between them. */
  gapBytes: { most: 64 * 2 ** 20, of: 'bytes between the elements of a view' },
  /** Lumina-mGPT's, with its vocabulary in it, has 1.7 MB. */
  configBytes: { most: 16 * 2 ** 20, of: 'bytes of a configuration' },
  /** The families' have up to 5 MB. */
  tokenizerBytes: { most: 32 * 2 ** 20, of: 'bytes of a tokenizer' },
  /** Of given images: ids of five digits for a thousand images of 2,352 tokens. */
  tokensBytes: { most: 16 * 2 ** 20, of: 'bytes of tokens' },
  /** A damaged id must not ask for memory. */
  tokenIds: { most: 2 ** 22, of: 'ids of a vocabulary' },
  /** Normalizers, splitters or processors, one after the other: the families have up to 7. */
  rules: { most: 32, of: 'rules of a tokenizer' },
  /** Janus's letters take 500. */
  patternCharacters: { most: 4096, of: 'characters of a pattern' },
  /** States of a pattern: Janus's have 6. Each may be looked at for every character of a prompt. */
  patternSteps: { most: 1000, of: 'states of a pattern' },
  /** A sound pattern takes a millisecond. */
  patternMs: { most: 1000, of: 'milliseconds for a pattern in a prompt' },
  /** Of a unigram model, whose every place in a text is looked up to this length. T5's have up to 16. */
  tokenCharacters: { most: 64, of: 'characters of a token' },
  /** What is prepended, or put in another's place: the families put in one character. */
  contentCharacters: { most: 256, of: 'characters of a replacement' },
  /** A prompt, before and after its normalization: some 4,000 tokens, of which the largest context has 10,240 with the image. */
  promptCharacters: { most: 2 ** 14, of: 'characters of a prompt' },
} as const satisfies Readonly<Record<string, Limit>>;

export type LimitName = keyof typeof LIMITS;

/** Throws FormatError, which names the limit, for a count above it. */
export function expectWithin(place: string, limit: LimitName, got: number, remedy = ''): void {
  const { most, of } = LIMITS[limit];
  if (got > most)
    throw new FormatError(`${place}: expected at most ${most} ${of}, got ${got}${remedy && `; ${remedy}`}`);
}
