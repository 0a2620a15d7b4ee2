import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { cleanCaption } from '../../../src/models/text/caption/caption-text.ts';
import { unescapeEntities } from '../../../src/models/text/caption/entities.ts';

type Table = readonly (readonly [caption: string, cleaned: string])[];
const GOLDEN: { readonly same: Table; readonly other: Table } = JSON.parse(
  readFileSync('test/golden/captions/cleaned.json', 'utf8'),
);

describe('caption text', () => {
  it('is cleaned as by the reference', () => {
    for (const [caption, cleaned] of GOLDEN.same) assert.equal(cleanCaption(caption), cleaned, JSON.stringify(caption));
  });

  it('differs from the reference for text that was decoded wrongly, which ftfy repairs, and not for markup without an end', () => {
    const differing = GOLDEN.other.filter(([caption, cleaned]) => cleanCaption(caption) !== cleaned);
    assert.deepEqual(
      differing.map(([caption]) => caption.split(' ')[0]),
      ['schÃ¶n'],
    );
  });

  it('has references to characters replaced as HTML says', () => {
    const cases: Table = [
      ['&amp;&lt;&gt;&quot;&apos;', '&<>"\''],
      ['&copy 2020 &notit; &eacute;t&eacute', '© 2020 ¬it; été'],
      ['&#65;&#x42;&#x80;&#0;&#xD800;&#x110000;', 'AB€\ufffd\ufffd\ufffd'],
      ['&unknown; & &; &#; &#x;', '&unknown; & &; &#; &#x;'],
      ['&amp;lt;', '&lt;'],
    ];
    for (const [text, expected] of cases) assert.equal(unescapeEntities(text), expected);
  });

  it('is clean whatever comes in: no capitals, no runs of spaces, none at the ends', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 60 }), fc.string({ maxLength: 60 })), (caption) => {
        const cleaned = cleanCaption(caption);
        assert.equal(cleaned, cleaned.trim());
        assert.ok(!/ {2}|[A-Z\n]/.test(cleaned), JSON.stringify(cleaned));
      }),
      { numRuns: 500 },
    );
  });

  it('is cleaned before the test times out, where patterns could try again and again', () => {
    for (const piece of ['<a ', '&', '%', 'a.', '"', "<a'", '#1', '- ', ' : ', '1x', 'free ', '<!--', 'a1'])
      cleanCaption(piece.repeat(2000));
  });
});
