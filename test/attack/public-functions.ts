/** The public functions by their declared options, each with a call that gets as far as its checks. */

import { loadTokenizer, TOKENIZER_OPTIONS } from '../../src/models/text/tokenizer/tokenizer.ts';
import { openCheckpoint } from '../../src/tensor/checkpoint/checkpoint.ts';
import { FILES_OPTIONS, FILES_SOURCE, openFiles } from '../../src/tensor/checkpoint/open-files.ts';
import { instance, listOf, text } from '../../src/tensor/checks.ts';
import { BLOB, BYTE_SOURCE, BYTES, blobSource, bytesSource } from '../../src/tensor/source/bytes.ts';
import { pickedSet, urlSet } from '../../src/tensor/source/file-set.ts';
import { OPEN_SOURCE, openSource, SOURCE } from '../../src/tensor/source/open-source.ts';
import { URL_OPTIONS } from '../../src/tensor/source/url-source.ts';
import { options, type PublicFunction, value } from './options.ts';

const TOKENIZER = 'test/golden/tokenizers/llama/tokenizer.json';
const FILE = 'test/golden/torch/dtypes.safetensors';
const FILES = listOf(
  'files',
  instance<File>('a File', () => File),
);

export async function publicFunctions(): Promise<{
  readonly functions: readonly PublicFunction[];
  readonly close: () => Promise<void>;
}> {
  const functions: PublicFunction[] = [
    {
      name: 'openSource',
      values: [value(SOURCE, (source) => openSource(source))],
      options: options(OPEN_SOURCE, {}, (given) => openSource(FILE, given)),
    },
    {
      name: 'openFiles',
      values: [value(FILES_SOURCE, (source) => openFiles(source))],
      options: options(FILES_OPTIONS, {}, (given) => openFiles(FILE, given)),
    },
    { name: 'openCheckpoint', values: [value(BYTE_SOURCE, (source) => openCheckpoint(source))] },
    {
      name: 'loadTokenizer',
      values: [value(SOURCE, (source) => loadTokenizer(source))],
      options: options(TOKENIZER_OPTIONS, {}, (given) => loadTokenizer(TOKENIZER, given)),
    },
    { name: 'urlSet', options: options(URL_OPTIONS, {}, (given) => urlSet('http://host/', given)) },
    { name: 'pickedSet', values: [value(FILES, (files) => pickedSet(files))] },
    {
      name: 'bytesSource',
      values: [
        value(text, (name) => bytesSource(name, new Uint8Array(1))),
        value(BYTES, (content) => bytesSource('name', content)),
      ],
    },
    {
      name: 'blobSource',
      values: [value(text, (name) => blobSource(name, new Blob())), value(BLOB, (blob) => blobSource('name', blob))],
    },
  ];
  return { functions, close: async () => undefined };
}
