import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decode } from 'fast-png';
import { pngOf, pngTexts } from '../src/png-chunks.ts';

const WORD = fc.stringMatching(/^[A-Za-z]{1,20}$/);
const TEXT = fc.stringMatching(/^[ -~]{0,60}$/);
const TEXTS = fc.dictionary(WORD, TEXT, { maxKeys: 3 });
const PICTURE = fc
  .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }))
  .chain(([width, height]) =>
    fc
      .uint8Array({ minLength: 3 * width * height, maxLength: 3 * width * height })
      .map((pixels) => ({ width, height, pixels })),
  );
const PNG = fc.tuple(PICTURE, TEXTS).map(([picture, texts]) => pngOf(picture, texts));

describe('the chunks of a PNG', () => {
  it('are a file that a decoder of any PNG reads, and whose texts are found without its pixels', () => {
    fc.assert(
      fc.property(PICTURE, TEXTS, ({ width, height, pixels }, texts) => {
        const png = pngOf({ width, height, pixels }, texts);
        const read = decode(png, { checkCrc: true });
        assert.deepEqual([read.width, read.height, read.channels, read.depth], [width, height, 3, 8]);
        assert.deepEqual(Uint8Array.from(read.data), pixels);
        assert.deepEqual({ ...read.text }, { ...texts });
        assert.deepEqual({ ...pngTexts(png) }, { ...texts });
      }),
    );
  });

  it('are refused where any byte is another, and where the file is cut', () => {
    const damage = fc.tuple(PNG, fc.nat(), fc.integer({ min: 1, max: 255 }));
    fc.assert(
      fc.property(damage, ([png, place, change]) => {
        const at = place % png.length;
        assert.throws(() => pngTexts(png.map((byte, i) => (i === at ? byte ^ change : byte))), Error);
        assert.throws(() => pngTexts(png.subarray(0, at)), Error);
      }),
    );
  });
});
