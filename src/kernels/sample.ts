/**
 * One token of every image from its logits, without leaving the GPU.
 *
 *     l = (uncond + (cond − uncond) · scale) / temperature
 *     keep l ≥ the k-th largest (top-k; ties stay); of those, tokens with less than p of the mass above them (top-p)
 *     token = the first whose cumulative weight exceeds u · Σ weight,   weight = exp(l − max l)
 *
 * `u` is a Philox4x32-10 draw, counter (position, identity), key (seed), both of the image: it does not depend on what else is in the
 * batch. The position is counted on the GPU, one up a draw, so a recorded draw needs nothing from the CPU. The first
 * tokens may be given: their draws keep what `tokens` holds already, and the later ones are as if they had been drawn.
 * With lines in parallel a step draws several tokens of an image, at the places that `feed` gives.
 *
 * One workgroup a draw. Thresholds are found by radix search over the bits of the logits, not by sorting.
 * Source: LlamaGen generate.py `sample`, `top_k_top_p_filtering`.
 */

import { type Constants, defineKernel } from '../tensor/kernel.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { PHILOX } from './philox.ts';
import { TOP_K_SEARCH, TOP_P_SEARCH } from './sample-filters.ts';

export interface DrawState {
  /** Token of each image and position, u32 [B, N]. */
  readonly tokens: Tensor;
  /** The last token drawn for each image, u32 [B]: what is fed next. */
  readonly token: Tensor;
  /** Draws so far, u32 [B]. */
  readonly drawn: Tensor;
  /** Of each image: low and high word of its seed, its identity, number of tokens given beforehand; u32 [B, 4]. */
  readonly seed: Tensor;
  /** The token of each image whose logits were the first not to be finite numbers, counted from 1; 0: none; u32 [B]. */
  readonly notFinite: Tensor;
}

/** Which ids a draw may give. */
export interface DrawRange {
  /** Id of the first logit, and number of logits V. */
  readonly first: number;
  readonly count: number;
  readonly lines: number;
  readonly lineLength: number;
  /** Id that the last draw of every line gives, whatever the logits. */
  readonly lineEnd?: number;
}

export interface DrawOptions extends DrawRange {
  /** 1 or less: logits [B, V], no unconditional rows. More: logits [2 B, V], conditional rows first. */
  readonly guidanceScale: number;
  /** From draw number `cfgInterval + 2` on (0-based) the conditional logits alone are used; -1: never. */
  readonly cfgInterval: number;
  /** 0: the largest logit wins. */
  readonly temperature: number;
  /** 0: off. */
  readonly topK: number;
  /** 1: off. */
  readonly topP: number;
}

const THREADS = 256;

/**
 * Draws into `state`. Returns the weights after filtering, f32 [B, V], not normalized. With `places`, u32 [B · lanes], as many
 * tokens of every image are drawn as there are lanes, each at its place, none at one beyond the image.
 */
export function sample(logits: Tensor, state: DrawState, options: DrawOptions, places?: Tensor): Tensor {
  const [, vocabulary] = logits.matrix('sample: logits');
  const [batch, positions] = state.tokens.matrix('sample: tokens');
  const draws = places?.count ?? batch;
  const guided = options.guidanceScale > 1;
  logits.expect('sample: logits', [guided ? 2 * draws : draws, options.count]);
  const weights = logits.runtime.result([draws, vocabulary], 'f32', 'weights');
  const topK = options.topK >= vocabulary ? 0 : options.topK;
  // what a caller may change from run to run is no constant: it would compile another pipeline
  const sizes = logits.runtime.sizes([
    draws,
    positions,
    options.cfgInterval,
    topK,
    ...floatBits(options.guidanceScale, Math.max(options.temperature, 1e-5), options.topP),
    draws / batch,
  ]);
  const constants = {
    VOCABULARY: vocabulary,
    GUIDED: guided,
    GREEDY: options.temperature === 0,
    HAS_TOP_K: topK > 0,
    HAS_TOP_P: options.topP < 1,
    FIRST: options.first,
    LINE: options.lineLength,
    LINE_END: options.lineEnd ?? -1,
  };
  const token = () => logits.runtime.result([draws], 'u32', 'drawn tokens');
  const drawing = places ? { ...state, drawn: places, token: token() } : state;
  logits.runtime.dispatch(kernel, { logits, weights, sizes, ...drawing }, constants, [draws]);
  return weights;
}

function floatBits(...values: number[]): Uint32Array {
  return new Uint32Array(Float32Array.from(values).buffer);
}

const kernel = /* @__PURE__ */ defineKernel(
  'sample',
  {
    logits: 'read f32',
    weights: 'write f32',
    sizes: 'uniform Sizes',
    tokens: 'write u32',
    token: 'write u32',
    drawn: 'write u32',
    notFinite: 'write u32',
    seed: 'read u32',
  },
  body,
);

function body({ GUIDED, GREEDY, HAS_TOP_K, HAS_TOP_P, LINE_END }: Constants): string {
  const filter = `${HAS_TOP_K ? TOP_K_SEARCH : ''}${HAS_TOP_P ? TOP_P_SEARCH : ''}`;
  const draw = `
    var own = 0.0;
    for (var v = lane; v < VOCABULARY; v += THREADS) {
      let l = weights[base + v];
      let w = select(0.0, exp(l - most), order(l) >= threshold);
      weights[base + v] = w;
      own += w;
    }
    sums[lane] = own;
    workgroupBarrier();
    if (lane == 0) {
      // the thread whose share of the mass holds the point, and how far into it the point lies
      let own = 4 * image;
      let bits = philox(vec4u(position, seed[own + 2], 0, 0), vec2u(seed[own], seed[own + 1])).x;
      var all = 0.0;
      for (var i = 0u; i < THREADS; i++) { all += sums[i]; }
      var left = f32(bits >> 8) * 0x1p-24 * all;
      var owner = 0u;
      for (var i = 0u; i < THREADS; i++) {
        if (sums[i] == 0.0) { continue; }
        owner = i;
        if (left < sums[i]) { break; }
        left -= sums[i];
      }
      var chosen = 0u;
      for (var v = owner; v < VOCABULARY; v += THREADS) {
        let w = weights[base + v];
        if (w == 0.0) { continue; }
        chosen = v;
        if (left < w) { break; }
        left -= w;
      }
      finish(image, index, position, chosen);
    }`;
  const argmax = `
    // the lowest id among the largest logits
    var chosen = 0xffffffffu;
    for (var v = lane; v < VOCABULARY; v += THREADS) {
      let isMost = weights[base + v] == most;
      if (isMost) { chosen = min(chosen, v); }
      weights[base + v] = select(0.0, 1.0, isMost);
    }
    if (lane == 0) { atomicStore(&histogram[0], 0xffffffffu); }
    workgroupBarrier();
    atomicMin(&histogram[0], chosen);
    workgroupBarrier();
    if (lane == 0) { finish(image, index, position, atomicLoad(&histogram[0])); }`;
  return `${PHILOX}
struct Sizes {
  draws: u32, positions: u32, interval: i32, topK: u32, scale: f32, temperature: f32, topP: f32, lanes: u32,
}
const THREADS = ${THREADS};
const LARGEST = 3.4e38;
var<workgroup> sums: array<f32, THREADS>;
var<workgroup> histogram: array<atomic<u32>, THREADS>;
var<workgroup> found: vec2u;

// floats as unsigned numbers of the same order
fn order(l: f32) -> u32 {
  let bits = bitcast<u32>(l);
  return select(bits | 0x80000000u, ~bits, bits >> 31 == 1);
}
// mass of the logits whose order is at least threshold; zero where there can be none
fn sumOf(base: u32, lane: u32, most: f32, threshold: u32, any: bool) -> f32 {
  var own = 0.0;
  for (var v = lane; v < VOCABULARY; v += THREADS) {
    let l = weights[base + v];
    if (any && order(l) >= threshold) { own += exp(l - most); }
  }
  workgroupBarrier();
  sums[lane] = own;
  workgroupBarrier();
  if (lane == 0) {
    var sum = 0.0;
    for (var i = 0u; i < THREADS; i++) { sum += sums[i]; }
    sums[0] = sum;
  }
  return workgroupUniformLoad(&sums[0]);
}
fn finish(image: u32, index: u32, position: u32, chosen: u32) {
  if (position >= sizes.positions) { return; }
  var id = FIRST + min(chosen, VOCABULARY - 1); // where no logit is a number, none is the largest
  ${Number(LINE_END) >= 0 ? 'if ((position + 1) % LINE == 0) { id = u32(LINE_END); }' : ''}
  if (position < seed[4 * image + 3]) { id = tokens[image * sizes.positions + position]; }
  tokens[image * sizes.positions + position] = id;
  token[index] = id;
  drawn[index] = position + 1;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = group.x;
  let image = index / sizes.lanes;
  let base = index * VOCABULARY;
  let position = drawn[index];
  var most = -LARGEST;
  var isWrong = false;
  for (var v = lane; v < VOCABULARY; v += THREADS) {
    var l = logits[base + v];
    ${
      GUIDED
        ? `if (sizes.interval < 0 || i32(position) < sizes.interval + 2) {
      let u = logits[(sizes.draws + index) * VOCABULARY + v];
      l = u + (l - u) * sizes.scale;
    }`
        : ''
    }
    ${GREEDY ? '' : 'l /= sizes.temperature;'}
    weights[base + v] = l;
    most = max(most, l);
    // all exponent bits: NaN or infinite. Compilers may take it that floats are numbers, so the bits are asked
    if ((bitcast<u32>(l) & 0x7f800000u) == 0x7f800000u) { isWrong = true; }
  }
  if (isWrong) { most = LARGEST; }
  sums[lane] = most;
  workgroupBarrier();
  if (lane == 0) {
    for (var i = 1u; i < THREADS; i++) { most = max(most, sums[i]); }
    sums[0] = most;
  }
  most = workgroupUniformLoad(&sums[0]);
  if (lane == 0 && most >= LARGEST && position < sizes.positions && notFinite[image] == 0) { notFinite[image] = position + 1; }
  var threshold = 0u;
  ${GREEDY ? argmax : `${filter}${draw}`}
}`;
}
