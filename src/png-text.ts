/** The texts of a PNG, without its pixels: a decoder is larger than all that draws a line. Source: PNG (third edition), 5 and 11.3.3. */

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
/** Length, type and checksum. */
const FRAME_BYTES = 12;
const POLYNOMIAL = 0xedb88320;

/** The tEXt chunks by keyword. Throws an Error for what is no PNG, and for one that is cut or damaged anywhere. */
export function pngTexts(png: Uint8Array): Record<string, string> {
  if (SIGNATURE.some((byte, i) => png[i] !== byte)) throw new Error('no signature');
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  const latin1 = new TextDecoder('latin1');
  const texts: Record<string, string> = Object.create(null);
  for (let at = SIGNATURE.length; ; ) {
    if (at + FRAME_BYTES > png.length) throw new Error(`${png.length} bytes, without its end`);
    const end = at + FRAME_BYTES + view.getUint32(at);
    if (end > png.length) throw new Error(`${png.length} bytes, cut in a chunk of ${end - at}`);
    const type = latin1.decode(png.subarray(at + 4, at + 8));
    if (crc32(png.subarray(at + 4, end - 4)) !== view.getUint32(end - 4))
      throw new Error(`another checksum at byte ${at}`);
    if (type === 'tEXt') {
      const [keyword, text = ''] = latin1.decode(png.subarray(at + 8, end - 4)).split('\0');
      texts[keyword!] = text; // a split has a first part
    }
    if (type === 'IEND') return texts;
    at = end;
  }
}

function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
  }
  return ~crc >>> 0;
}
