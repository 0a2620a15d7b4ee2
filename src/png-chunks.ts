/**
 * The chunks of a PNG: all of one in RGB are written, of any the texts are read. A codec of every kind of PNG is larger than
 * all that draws a line. Source: PNG (third edition), 5 and 11.
 */

import { zlibSync } from 'fflate';

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
/** Length, type and checksum. */
const FRAME_BYTES = 12;
const POLYNOMIAL = 0xedb88320;

/** pixels u8 [height, width, 3] and texts of Latin-1 → the bytes of a file. */
export function pngOf(
  { width, height, pixels }: { readonly width: number; readonly height: number; readonly pixels: Uint8Array },
  texts: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0]); // 8 bits of RGB, deflate, not interlaced
  new DataView(header.buffer).setUint32(0, width);
  new DataView(header.buffer).setUint32(4, height);
  const lines = new Uint8Array(height * (1 + 3 * width)); // each begins with the number of its filter: none
  for (let y = 0; y < height; y++)
    lines.set(pixels.subarray(3 * width * y, 3 * width * (y + 1)), (1 + 3 * width) * y + 1);
  const chunks = [
    chunk('IHDR', header),
    chunk('IDAT', zlibSync(lines)),
    ...Object.entries(texts).map(([keyword, text]) => chunk('tEXt', latin1(`${keyword}\0${text}`))),
    chunk('IEND', new Uint8Array()),
  ];
  const png = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, SIGNATURE.length));
  png.set(SIGNATURE);
  let at = SIGNATURE.length;
  for (const bytes of chunks) {
    png.set(bytes, at);
    at += bytes.length;
  }
  return png;
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(FRAME_BYTES + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(latin1(type), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

/** The tEXt chunks by keyword. Throws an Error for what is no PNG, and for one that is cut or damaged anywhere. */
export function pngTexts(png: Uint8Array): Record<string, string> {
  if (SIGNATURE.some((byte, i) => png[i] !== byte)) throw new Error('no signature');
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  const decoder = new TextDecoder('latin1');
  const texts: Record<string, string> = Object.create(null);
  for (let at = SIGNATURE.length; ; ) {
    if (at + FRAME_BYTES > png.length) throw new Error(`${png.length} bytes, without its end`);
    const end = at + FRAME_BYTES + view.getUint32(at);
    if (end > png.length) throw new Error(`${png.length} bytes, cut in a chunk of ${end - at}`);
    const type = decoder.decode(png.subarray(at + 4, at + 8));
    if (crc32(png.subarray(at + 4, end - 4)) !== view.getUint32(end - 4))
      throw new Error(`another checksum at byte ${at}`);
    if (type === 'tEXt') {
      const [keyword, text = ''] = decoder.decode(png.subarray(at + 8, end - 4)).split('\0');
      texts[keyword!] = text; // a split has a first part
    }
    if (type === 'IEND') return texts;
    at = end;
  }
}

/** What a byte makes of a checksum. */
const remainders = /* @__PURE__ */ Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
  return crc;
});

function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) crc = (crc >>> 8) ^ remainders[(crc ^ byte) & 255]!;
  return ~crc >>> 0;
}
