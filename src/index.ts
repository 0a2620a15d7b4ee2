/// <reference lib="esnext.disposable" preserve="true" />
/** The public names. */

export {
  type CacheOptions,
  type CachePlan,
  type EvictionPolicy,
  type KvDtype,
  type PlanSteps,
  type PolicyName,
  planCache,
} from './cache/policy.ts';
export { FATES, type Retention } from './cache/retention.ts';
export type { ParallelOptions, SpeculateOptions } from './cache/step-options.ts';
export type { FreeRun } from './compare/free-run.ts';
export { type CompareOptions, type CompareSetting, type Comparison, type Comparisons, compare } from './compare.ts';
export { type DrawEvent, draw } from './draw.ts';
export type { Fit, FittingOptions, Lack } from './fit.ts';
export { type GenerateOptions, generate, type LineProgress } from './generate.ts';
export { GeneratedImage, type ImageParts } from './generated-image.ts';
export type { ChameleonOptions } from './models/chameleon/config.ts';
export type { ModelDefinition } from './models/family.ts';
export type { ImageModel, LineGrid } from './models/image-model.ts';
export type { JanusOptions } from './models/janus/config.ts';
export type { CaptionPrompt, ClassPrompt, LlamaGenPrompt } from './models/llamagen/condition.ts';
export type { LlamaGenOptions } from './models/llamagen/config.ts';
export { type LoadModelOptions, loadModel } from './models/load-model.ts';
export type { T5Config } from './models/parts/t5/config.ts';
export { VQ_PRESETS, type VqConfig } from './models/parts/vq/config.ts';
export {
  EMBEDDED_MODEL,
  EMBEDDED_TEXT_MODEL,
  type FamilyModel,
  MODEL_NAMES,
  type ModelName,
  modelDefinition,
  modelName,
  type Prompt,
  type PromptOf,
} from './models/registry.ts';
export type { TextPrompt } from './models/text/prompt.ts';
export { loadTokenizer, type TextTokenizer, type TokenizerOptions } from './models/text/tokenizer/tokenizer.ts';
export { type MemoryPlan, type PlanOptions, plan } from './plan.ts';
export { encodePng, type Picture, readRecipe } from './png.ts';
export type { Recipe, RecipePrompt } from './recipe.ts';
export { recipeFor } from './recipe-for.ts';
export { generateAndRecover, type RecoverOptions } from './recover.ts';
export { generateInRuns, imagesThatFit } from './runs.ts';
export type { GivenTokens, SamplingOptions } from './sampler.ts';
export { type Checkpoint, openCheckpoint, type StoredTensor } from './tensor/checkpoint/checkpoint.ts';
export { type FilesOptions, type OpenedFiles, openFiles } from './tensor/checkpoint/open-files.ts';
export type { LoadProgress } from './tensor/checkpoint/weights.ts';
export type { Counters } from './tensor/counters.ts';
export type { AdapterChoice, Driver, ListedAdapter } from './tensor/device/adapter.ts';
export { listAdapters } from './tensor/device/list-adapters.ts';
export {
  DecodeError,
  DeviceError,
  DisposedError,
  FormatError,
  NotFiniteError,
  NotFoundError,
  OptionError,
  OutOfMemoryError,
  RasterlineError,
  ShapeError,
  StorageError,
} from './tensor/errors.ts';
export type { CompileProgress } from './tensor/pipelines.ts';
export type { TunedProblem, TuneProgress } from './tensor/race.ts';
export { Runtime, type RuntimeOptions } from './tensor/runtime.ts';
export { type ByteSource, blobSource, bytesSource } from './tensor/source/bytes.ts';
export { type Downloads, downloads } from './tensor/source/downloads.ts';
export type { CachedFile, DownloadProgress } from './tensor/source/file-cache.ts';
export { type FileSet, pickedSet, urlSet } from './tensor/source/file-set.ts';
export { type CheckpointSource, openSource } from './tensor/source/open-source.ts';
export { Tensor } from './tensor/tensor.ts';
export { type Tuned, type TuneOptions, tune } from './tune.ts';
export { VERSION } from './version.ts';
