/** Guidance, filters and the draw in plain TypeScript, by sorting. */

export interface FilterOptions {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
}

/** uncond + (cond − uncond) · scale */
export function guide(cond: ArrayLike<number>, uncond: ArrayLike<number>, scale: number): Float32Array {
  return Float32Array.from(cond, (c, i) => Math.fround(uncond[i]! + Math.fround(Math.fround(c - uncond[i]!) * scale)));
}

/** Probabilities after temperature, top-k and top-p. Equal logits stay or go together. */
export function filteredProbabilities(logits: Float32Array, { temperature, topK, topP }: FilterOptions): Float64Array {
  const scaled = Float64Array.from(logits, (l) => Math.fround(l / Math.max(temperature, 1e-5)));
  const descending = [...scaled].sort((a, b) => b - a);
  const atLeast = topK > 0 && topK < logits.length ? descending[topK - 1]! : Number.NEGATIVE_INFINITY;
  const most = descending[0]!;
  const weights = scaled.map((l) => (l >= atLeast ? Math.exp(l - most) : 0));
  const total = weights.reduce((sum, w) => sum + w, 0);
  const kept = weights.map((w) => {
    const above = weights.reduce((sum, other) => sum + (other > w ? other : 0), 0);
    return topP < 1 && above > topP * total ? 0 : w;
  });
  const mass = kept.reduce((sum, w) => sum + w, 0);
  return kept.map((w) => w / mass);
}

/** Philox 4x32 with 10 rounds. Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011. */
export function philox(counter: readonly number[], key: readonly number[]): number[] {
  let c = counter.map(BigInt);
  let k = key.map(BigInt);
  const word = 0xffffffffn;
  for (let round = 0; round < 10; round++) {
    const p = 0xd2511f53n * c[0]!;
    const q = 0xcd9e8d57n * c[2]!;
    c = [(q >> 32n) ^ c[1]! ^ k[0]!, q & word, (p >> 32n) ^ c[3]! ^ k[1]!, p & word];
    k = [(k[0]! + 0x9e3779b9n) & word, (k[1]! + 0xbb67ae85n) & word];
  }
  return c.map(Number);
}
