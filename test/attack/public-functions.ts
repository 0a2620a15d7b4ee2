/** The public functions by their declared options, each with a call that gets as far as its checks. */

import { CACHE_OPTIONS, GRID, planCache } from '../../src/cache/policy.ts';
import { COMPARE_OPTIONS, compare } from '../../src/compare.ts';
import { draw } from '../../src/draw.ts';
import { generate } from '../../src/generate.ts';
import { GENERATE_OPTIONS, MODEL as IMAGE_MODEL } from '../../src/generate-options.ts';
import { GeneratedImage, type ImageParts } from '../../src/generated-image.ts';
import { LOAD_MODEL, loadModel } from '../../src/models/load-model.ts';
import { type FamilyModel, MODEL_NAMES, modelDefinition, modelName } from '../../src/models/registry.ts';
import { loadTokenizer, TOKENIZER_OPTIONS } from '../../src/models/text/tokenizer/tokenizer.ts';
import { PLAN_OPTIONS, plan } from '../../src/plan.ts';
import { encodePng, IMAGE, PNG, readRecipe } from '../../src/png.ts';
import { recipeFor } from '../../src/recipe-for.ts';
import { generateAndRecover, RECOVER_OPTIONS } from '../../src/recover.ts';
import { generateInRuns, imagesThatFit } from '../../src/runs.ts';
import { openCheckpoint } from '../../src/tensor/checkpoint/checkpoint.ts';
import { FILES_OPTIONS, FILES_SOURCE, openFiles } from '../../src/tensor/checkpoint/open-files.ts';
import { instance, listOf, oneOf, text, whole } from '../../src/tensor/checks.ts';
import type { Check } from '../../src/tensor/options.ts';
import { Runtime } from '../../src/tensor/runtime.ts';
import { RUNTIME_OPTIONS, TENSOR_DTYPE, TENSOR_SHAPE } from '../../src/tensor/runtime-options.ts';
import { BLOB, BYTE_SOURCE, BYTES, blobSource, bytesSource } from '../../src/tensor/source/bytes.ts';
import { downloads } from '../../src/tensor/source/downloads.ts';
import { pickedSet, urlSet } from '../../src/tensor/source/file-set.ts';
import { OPEN_SOURCE, openSource, SOURCE } from '../../src/tensor/source/open-source.ts';
import { URL_OPTIONS } from '../../src/tensor/source/url-source.ts';
import { TUNE_OPTIONS, tune } from '../../src/tune.ts';
import { connectWorker } from '../../src/worker/connect.ts';
import { WORKER } from '../../src/worker/line.ts';
import { options, type PublicFunction, value } from './options.ts';

const TOKENIZER = 'test/golden/tokenizers/llama/tokenizer.json';
const FILE = 'test/golden/torch/dtypes.safetensors';
const MODEL: Check<string | FamilyModel> = {
  expected: 'a model',
  fits: (value): value is FamilyModel => typeof value === 'object' && value !== null && 'family' in value,
};
const NAME = oneOf(...MODEL_NAMES);
const ONE = encodePng({ width: 1, height: 1, pixels: new Uint8Array(3) });
const FILES = listOf(
  'files',
  instance<File>('a File', () => File),
);

export async function publicFunctions(): Promise<{
  readonly functions: readonly PublicFunction[];
  readonly close: () => Promise<void>;
}> {
  const runtime = await Runtime.open({ driver: 'null' });
  const model = await loadModel(runtime, 'emoji');
  const prompt = { classes: [1] };
  const settings = [{ budgetLines: 4 }];
  const reload = async () => model;
  const functions: PublicFunction[] = [
    {
      name: 'Runtime',
      values: [
        value(TENSOR_SHAPE, (shape) => runtime.tensor(shape, 'f32', 'tensor')),
        value(TENSOR_DTYPE, (dtype) => runtime.tensor([1], dtype, 'tensor')),
        value(text, (label) => runtime.tensor([1], 'f32', label)),
      ],
      options: options(RUNTIME_OPTIONS, { driver: 'null' }, (given) => Runtime.open(given)),
    },
    {
      name: 'loadModel',
      values: [value(MODEL, (name) => loadModel(runtime, name as 'emoji'))],
      options: options(LOAD_MODEL, {}, (given) => loadModel(runtime, 'emoji', given)),
    },
    {
      name: 'generate',
      values: [value(IMAGE_MODEL, (given) => generate(given, { prompt: prompt as never }))],
      options: options(GENERATE_OPTIONS, { prompt }, (given) => generate(model, given as { prompt: typeof prompt })),
    },
    {
      name: 'draw',
      options: options(GENERATE_OPTIONS, { prompt }, (given) => draw(model, given as { prompt: typeof prompt }).next()),
    },
    { name: 'connectWorker', values: [value(WORKER, (worker) => connectWorker(worker))] },
    { name: 'GeneratedImage', values: [value(IMAGE, (image) => new GeneratedImage(image as ImageParts))] },
    {
      name: 'generateAndRecover',
      values: [value(IMAGE_MODEL, (given) => generateAndRecover(given, { prompt: prompt as never, reload }))],
      options: options(RECOVER_OPTIONS, { prompt, reload }, (given) =>
        generateAndRecover(model, given as { prompt: typeof prompt; reload: typeof reload }),
      ),
    },
    {
      name: 'generateInRuns',
      values: [value(whole(1, 4), (atOnce) => generateInRuns(model, { prompt }, atOnce).next())],
      options: options(GENERATE_OPTIONS, { prompt }, (given) =>
        generateInRuns(model, given as { prompt: typeof prompt }, 1).next(),
      ),
    },
    {
      name: 'imagesThatFit',
      values: [
        value(MODEL, (name) => imagesThatFit(name, 1, { memoryBytes: 1e9 })),
        value(whole(1, 4), (wanted) => imagesThatFit('emoji', wanted, { memoryBytes: 1e9 })),
      ],
    },
    {
      name: 'compare',
      values: [value(IMAGE_MODEL, (given) => compare(given, { prompt: prompt as never, settings }))],
      options: options(COMPARE_OPTIONS, { prompt, settings }, (given) =>
        compare(model, given as { prompt: typeof prompt; settings: typeof settings }),
      ),
    },
    {
      name: 'tune',
      values: [value(IMAGE_MODEL, (given) => tune(given, { prompt: prompt as never }))],
      options: options(TUNE_OPTIONS, { prompt }, (given) => tune(model, given as { prompt: typeof prompt })),
    },
    {
      name: 'planCache',
      values: [value(GRID, (grid) => planCache({}, grid))],
      options: options({ place: 'planCache', options: CACHE_OPTIONS }, {}, (given) =>
        planCache(given, { lines: 16, lineLength: 16 }),
      ),
    },
    {
      name: 'plan',
      values: [value(MODEL, (name) => plan(name))],
      options: options(PLAN_OPTIONS, {}, (given) => plan('emoji', given)),
    },
    { name: 'modelName', values: [value(NAME, (name) => modelName(name))] },
    {
      name: 'modelDefinition',
      values: [value(MODEL, (name) => modelDefinition(name))],
    },
    { name: 'encodePng', values: [value(IMAGE, (image) => encodePng(image))] },
    {
      name: 'readRecipe',
      values: [value(PNG, (png) => readRecipe(png)), value(text, (name) => readRecipe(ONE, name))],
    },
    {
      name: 'recipeFor',
      values: [value(whole(0, 0), (image) => recipeFor(model, { prompt }, image))],
      options: options(GENERATE_OPTIONS, { prompt }, (given) =>
        recipeFor(model, given as { prompt: typeof prompt }, 0),
      ),
    },
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
    { name: 'downloads', values: [value(text, (folder) => downloads(folder))] },
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
  return {
    functions,
    async close() {
      model.dispose();
      runtime.dispose();
    },
  };
}
