/** How tokens are drawn: validated options, and the state of the draw on the GPU. */

import { accept } from './kernels/accept.ts';
import { type DrawRange, type DrawState, sample } from './kernels/sample.ts';
import { either, listOf, numberFrom, whole } from './tensor/checks.ts';
import { NotFiniteError, OptionError } from './tensor/errors.ts';
import { type Check, checkOptions, type OptionTable } from './tensor/options.ts';
import { ReadBack } from './tensor/read-back.ts';
import type { Runtime } from './tensor/runtime.ts';
import { show } from './tensor/show.ts';
import type { Tensor } from './tensor/tensor.ts';

/** How freely tokens are drawn; what is left out is as the script of the model has it. */
export interface SamplingOptions {
  /** Classifier-free guidance: uncond + (cond − uncond) · scale. 1 or less turns it off, and halves the rows. */
  readonly guidanceScale?: number;
  /** From image token `cfgInterval + 2` (0-based) on, the conditional logits alone are used. Default -1: never. */
  readonly cfgInterval?: number;
  /** 0 takes the largest logit. Default 1. */
  readonly temperature?: number;
  /** Draw among the k largest logits; 0 is off. */
  readonly topK?: number;
  /** Draw among the largest probabilities that together reach p; 1 is off. */
  readonly topP?: number;
  /** Whole number below 2^53, or one of every image. The same seed on the same adapter gives the same tokens. Default 0. */
  readonly seed?: number | readonly number[];
  /**
   * Identity of the first image: image b of a run draws what image `firstImage + b` of any run draws. Or the identities of
   * all, so that images of several runs can be drawn in one. Default 0.
   */
  readonly firstImage?: number | readonly number[];
}

export type Sampling = Required<SamplingOptions>;

/** Of one image. */
export type ImageSampling = Omit<Sampling, 'seed' | 'firstImage'> & {
  readonly seed: number;
  readonly firstImage: number;
};

const SEED: Check<number> = { ...whole(0), expected: 'a whole number from 0 to 2^53 - 1' };
const IDENTITY = whole(0, 2 ** 31);
const TOP_P: Check<number> = {
  expected: 'a number above 0, up to 1',
  fits: (value): value is number => typeof value === 'number' && value > 0 && value <= 1,
};

export const SAMPLING_OPTIONS: OptionTable<SamplingOptions> = {
  place: 'sampling',
  options: {
    guidanceScale: numberFrom(0, 1000),
    cfgInterval: whole(-1),
    temperature: numberFrom(0, 1000),
    topK: whole(0),
    topP: TOP_P,
    seed: either(SEED, listOf('a list of such, one of every image', SEED)),
    firstImage: either(IDENTITY, listOf('a list of such, one of every image', IDENTITY)),
  },
};

/** Fills in what the caller left out. Throws OptionError naming the option. */
export function resolveSampling(given: SamplingOptions, defaults: SamplingOptions): Sampling {
  const all = { guidanceScale: 1, cfgInterval: -1, temperature: 1, topK: 0, topP: 1, seed: 0, firstImage: 0 };
  return checkOptions(SAMPLING_OPTIONS, { ...all, ...defaults, ...checkOptions(SAMPLING_OPTIONS, given) }) as Sampling;
}

/** The sampling of each of so many images. Throws OptionError for lists of another number. */
export function samplingOfImages(sampling: Sampling, images: number): readonly ImageSampling[] {
  for (const name of ['seed', 'firstImage'] as const) {
    const given = sampling[name];
    if (typeof given !== 'number' && given.length !== images)
      throw new OptionError(`${name}: expected one number, or one of each of ${images} images, got ${given.length}`);
  }
  const { seed, firstImage } = sampling;
  return Array.from({ length: images }, (_, image) => ({
    ...sampling,
    seed: typeof seed === 'number' ? seed : seed[image]!,
    firstImage: typeof firstImage === 'number' ? firstImage + image : firstImage[image]!,
  }));
}

/** The first tokens of an image, ends of lines included. */
export type GivenTokens = Uint32Array | readonly number[];

/**
 * How many tokens of every image are given.
 *
 * Throws OptionError unless all images are given the same number, at most all, of ids that the grid allows there.
 */
export function expectGiven(given: readonly GivenTokens[], range: DrawRange): number {
  const { first, count, lines, lineLength, lineEnd } = range;
  const isList = (value: unknown) => Array.isArray(value) || value instanceof Uint32Array;
  if (!Array.isArray(given) || !given.every(isList))
    throw new OptionError(`tokens: expected a list of numbers, or a Uint32Array, of every image, got ${show(given)}`);
  const length: number = given[0]?.length ?? 0;
  for (const [image, tokens] of given.entries()) {
    if (tokens.length !== length || length > lines * lineLength) {
      throw new OptionError(
        `tokens[${image}]: expected ${image === 0 ? `at most ${lines * lineLength}` : `${length}, as of the first image`}, got ${tokens.length}`,
      );
    }
    for (const [i, id] of tokens.entries()) {
      const endsLine = lineEnd !== undefined && (i + 1) % lineLength === 0;
      if (endsLine ? id === lineEnd : Number.isInteger(id) && id >= first && id < first + count) continue;
      const expected = endsLine
        ? `${lineEnd}, which ends a line`
        : `a whole number from ${first} to ${first + count - 1}`;
      throw new OptionError(`tokens[${image}][${i}]: expected ${expected}, got ${show(id)}`);
    }
  }
  return length;
}

export interface SamplerOptions {
  readonly range: DrawRange;
  readonly sampling: Sampling;
  readonly given?: readonly GivenTokens[] | undefined;
}

/** Draws one token of every image a call; tokens stay on the GPU. */
export class Sampler {
  /** u32 [B, N] */
  readonly tokens: Tensor;
  /** The last token of each image, u32 [B]. */
  readonly token: Tensor;
  /** To be filled by the run that `settled` waits for. */
  readonly check: ReadBack;
  readonly #state: DrawState;

  private constructor(
    private readonly runtime: Runtime,
    images: number,
    private readonly options: SamplerOptions,
  ) {
    const { range, sampling, given = [] } = options;
    const length = expectGiven(given, range);
    if (length > 0 && given.length !== images)
      throw new OptionError(`tokens: expected those of ${images} images, one list each, got ${given.length}`);
    const words = samplingOfImages(sampling, images).flatMap(({ seed, firstImage }) => [
      ...[seed % 2 ** 32, Math.floor(seed / 2 ** 32), firstImage, length],
    ]);
    const perImage = (label: string) => runtime.tensor([images], 'u32', label);
    const notFinite = perImage('not finite');
    this.tokens = runtime.tensor([images, range.lines * range.lineLength], 'u32', 'tokens');
    if (length > 0) this.tokens.write(padRows(given, this.tokens.count));
    this.token = perImage('token');
    this.#state = {
      tokens: this.tokens,
      token: this.token,
      drawn: perImage('drawn'),
      notFinite,
      seed: runtime.tensor([images, 4], 'u32', 'seed', Uint32Array.from(words)),
    };
    this.check = new ReadBack(runtime, notFinite);
  }

  /** Throws OptionError, and keeps no memory, for tokens of another number of images. */
  static open(runtime: Runtime, images: number, options: SamplerOptions): Sampler {
    return runtime.memory.together(() => new Sampler(runtime, images, options));
  }

  /** Records a draw from logits [R, V], or from [R · lanes, V] at `places` [B · lanes]. Returns the weights after filtering. */
  next(logits: Tensor, places?: Tensor): Tensor {
    return sample(logits, this.#state, { ...this.options.sampling, ...this.options.range }, places);
  }

  /** How many tokens of each image are drawn, u32 [B]; with lines in parallel after the first only. */
  get drawn(): Tensor {
    return this.#state.drawn;
  }

  /** Records, after `next`, which drafts of a step were right, and the drafts of the next. `fed` u32 [B · lanes]. */
  accept(fed: Tensor, step: Tensor): void {
    accept(fed, step, this.#state, this.options.range.lineLength);
  }

  /** Waits for the run that filled `check`. Throws NotFiniteError for logits that were no numbers, and what went wrong. */
  async settled(): Promise<void> {
    const firsts = new Uint32Array(await this.check.read());
    if (this.runtime.kind === 'null') return; // nothing was computed, and memory holds whatever it held
    for (const [image, token] of firsts.entries()) {
      if (token > 0) throw new NotFiniteError(image, token - 1);
    }
  }

  /** The tokens of each image, N long; those not drawn yet are 0. */
  async read(): Promise<Uint32Array<ArrayBuffer>[]> {
    const [images = 0, positions = 0] = this.tokens.shape;
    const all = (await this.tokens.read()) as Uint32Array<ArrayBuffer>;
    return Array.from({ length: images }, (_, image) => all.slice(image * positions, (image + 1) * positions));
  }

  dispose(): void {
    this.check.dispose();
    for (const tensor of Object.values(this.#state)) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Lists one after the other in `count` places, each followed by zeros. */
function padRows(lists: readonly GivenTokens[], count: number): Uint32Array<ArrayBuffer> {
  const all = new Uint32Array(count);
  for (const [row, list] of lists.entries()) all.set(list, row * (count / lists.length));
  return all;
}
