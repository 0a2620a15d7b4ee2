import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decode, encode } from 'fast-png';
import { pngTexts } from '../src/png-text.ts';

const WORD = fc.stringMatching(/^[A-Za-z]{1,20}$/);
const TEXT = fc.stringMatching(/^[ -~]{0,60}$/);
const PNG = fc
  .tuple(fc.integer({ min: 1, max: 5 }), fc.dictionary(WORD, TEXT, { maxKeys: 3 }))
  .map(([width, text]) => encode({ width, height: 1, data: new Uint8Array(3 * width), channels: 3, depth: 8, text }));

describe('the texts of a PNG', () => {
  it('are those that a decoder of the whole finds', () => {
    fc.assert(fc.property(PNG, (png) => assert.deepEqual({ ...pngTexts(png) }, { ...decode(png).text })));
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
