/** Memory that decoding one image takes, without recording it: what `decode` makes, in its order. */

import { BAND_BYTES, pickBandRows, pickSlab } from '../../../kernels/slabs.ts';
import { type ScratchSizes, sumOf, type Traced, traceScratch } from '../../../tensor/placement.ts';
import { roundUp } from '../../../tensor/shape.ts';
import type { VqConfig } from './config.ts';

/** An image in bands. */
interface Bands {
  readonly rows: number;
  readonly columns: number;
  readonly channels: number;
  readonly bandRows: number;
  readonly bands: readonly Traced[];
}

/** Makes what is read of an image: rows [first, end). */
type Read = (first: number, end: number) => Traced;

/** Scratch of the decoder for an image of so many tokens; its codes and pixels included. */
export function decoderBytes(
  config: VqConfig,
  { lines, columns }: { readonly lines: number; readonly columns: number },
  bandBytes: number = BAND_BYTES,
): ScratchSizes {
  const { codebook, zChannels, baseChannels, multipliers, residualBlocks, layout = 'llamagen' } = config;
  const { make, use, sizes } = traceScratch();
  const widths = multipliers.map((multiplier) => multiplier * baseChannels).reverse();

  const conv = (x: Bands, read: Read, y: Omit<Bands, 'bands'>, residual?: Bands): Bands => {
    const scale = y.rows / x.rows;
    const bands: Traced[] = [];
    for (let top = 0; top < y.rows; top += y.bandRows) {
      const end = Math.min(top + y.bandRows, y.rows);
      const most = Math.min(y.bandRows, scale * x.bandRows);
      let band: Traced | undefined;
      for (let first = top; first < end; first += most) {
        const last = Math.min(first + most, end);
        const window = read(
          Math.max(0, Math.floor((first - 1) / scale)),
          Math.min(x.rows, Math.floor(last / scale) + 1),
        );
        const reads = [window, ...(residual ? [residual.bands[bands.length]!] : [])];
        if (band) use(band, ...reads);
        else band = make(4 * (end - top) * y.columns * y.channels, ...reads);
      }
      bands.push(band!); // a band has rows
    }
    return { ...y, bands };
  };
  const inBands = (x: Bands, first: number, end: number) =>
    x.bands.slice(Math.floor(first / x.bandRows), Math.ceil(end / x.bandRows));
  const window = (x: Bands, first: number, end: number, ...more: readonly Traced[]) =>
    make(4 * (end - first) * x.columns * x.channels, ...inBands(x, first, end), ...more);
  const norm = (x: Bands): Read => {
    const slabs = Math.ceil((x.rows * x.columns) / pickSlab(x.rows * x.columns));
    const moments = make(8 * slabs * x.channels, ...x.bands);
    const map = make(8 * x.channels, moments);
    return (first, end) => window(x, first, end, map);
  };
  const resnet = (x: Bands, channels: number): Bands => {
    const h = conv(x, norm(x), { ...x, channels });
    const bands = x.bands.map((band) => make((band.bytes / x.channels) * channels, band));
    const residual = channels === x.channels ? x : { ...x, channels, bands };
    return conv(h, norm(h), { ...x, channels }, residual);
  };
  const attention = (x: Bands): Bands => {
    const places = x.rows * x.columns;
    const padded = roundUp(places, 64);
    const qkv = make(12 * places * x.channels, norm(x)(0, x.rows));
    const products = make(4 * padded ** 2, qkv);
    const sums = make(4 * padded, products);
    const y = make(4 * places * x.channels, qkv, products, sums);
    return { ...x, bands: [make(y.bytes, y, ...x.bands)] };
  };

  const places = lines * columns;
  const [coarsest] = widths as [number, ...number[]];
  const grid = { rows: lines, columns, bandRows: lines };
  const rows = make(4 * places * zChannels, make(4 * places * codebook.width));
  const codes = { ...grid, channels: zChannels, bands: [rows] };
  let x = conv(codes, () => rows, { ...grid, channels: coarsest });
  x = resnet(attention(resnet(x, coarsest)), coarsest);
  for (const [level, channels] of widths.entries()) {
    for (let block = 0; block <= residualBlocks; block++) {
      x = resnet(x, channels);
      if (level === 0 && layout === 'llamagen') x = attention(x);
    }
    const finer = widths[level + 1];
    if (finer === undefined) continue;
    const size = { rows: 2 * x.rows, columns: 2 * x.columns };
    const bandRows = pickBandRows({ ...size, channels: Math.max(channels, finer) }, bandBytes);
    const from = x;
    const read: Read = (first, end) => {
      const bands = inBands(from, first, end);
      return bands.length === 1 ? bands[0]! : window(from, first, end);
    };
    x = conv(from, read, { ...size, channels, bandRows });
  }
  const pixels = conv(x, norm(x), { ...x, bandRows: x.rows, channels: 3 });
  use(...pixels.bands);
  return sumOf([sizes(), { bytes: 4 * places, bindingBytes: 4 * places }]);
}
