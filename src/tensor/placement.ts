/** Which regions of a program share a buffer: those that are never needed at the same time. */

/** From the first dispatch that a region is needed in to the last. */
export interface Lifetime {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

export interface Placement {
  /** Bytes of each buffer. */
  readonly buffers: readonly number[];
  /** Of each lifetime, which buffer is its. */
  readonly places: readonly number[];
}

/**
 * The largest first, each in the smallest buffer that is free for as long as it is needed: so a buffer is made only for
 * what is as large as any before it, and the whole is close to the most that is needed at one time.
 */
export function shareBuffers(lifetimes: readonly Lifetime[]): Placement {
  const buffers: { readonly bytes: number; readonly held: Lifetime[] }[] = [];
  const places = new Array<number>(lifetimes.length);
  const bySize = [...lifetimes.entries()].sort(([i, a], [j, b]) => b.bytes - a.bytes || a.first - b.first || i - j);
  for (const [index, lifetime] of bySize) {
    const isFree = ({ first, last }: Lifetime) => last < lifetime.first || first > lifetime.last;
    // buffers are made in the order of their sizes, so the last that is free is the smallest
    let place = buffers.length - 1;
    while (place >= 0 && !buffers[place]!.held.every(isFree)) place--;
    if (place < 0) place = buffers.push({ bytes: lifetime.bytes, held: [] }) - 1;
    buffers[place]!.held.push(lifetime);
    places[index] = place;
  }
  return { buffers: buffers.map(({ bytes }) => bytes), places };
}

/** What a traced dispatch made. */
export interface Traced extends Lifetime {
  last: number;
}

/** Scratch of a program that is not recorded, told dispatch by dispatch. */
export interface Trace {
  /** A dispatch that makes so many bytes of what earlier ones made. */
  make(bytes: number, ...reads: readonly Traced[]): Traced;
  /** A dispatch that makes nothing new. */
  use(...reads: readonly Traced[]): void;
  /** Of all buffers that the program takes. */
  sizes(): ScratchSizes;
}

/** What a program needs of a device. */
export interface ScratchSizes {
  readonly bytes: number;
  /** Of the largest buffer. */
  readonly bindingBytes: number;
}

export function traceScratch(): Trace {
  const made: Traced[] = [];
  let now = 0;
  const use = (...reads: readonly Traced[]) => {
    for (const one of reads) one.last = now;
    now++;
  };
  return {
    use,
    make: (bytes, ...reads) => {
      const one = { bytes, first: now, last: now };
      made.push(one);
      use(one, ...reads);
      return one;
    },
    sizes: () => sumOf(shareBuffers(made).buffers.map((bytes) => ({ bytes, bindingBytes: bytes }))),
  };
}

/** What stands beside each other. */
export function sumOf(parts: readonly ScratchSizes[]): ScratchSizes {
  return parts.reduce(
    (sum, part) => ({
      bytes: sum.bytes + part.bytes,
      bindingBytes: Math.max(sum.bindingBytes, part.bindingBytes),
    }),
    { bytes: 0, bindingBytes: 0 },
  );
}
