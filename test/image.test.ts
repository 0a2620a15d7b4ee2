import assert from 'node:assert/strict';
import { ImageDecoder } from '../src/image.ts';
import type { ImageModel } from '../src/models/image-model.ts';
import type { LlamaGenPrompt } from '../src/models/llamagen/condition.ts';
import type { Runtime } from '../src/tensor/runtime.ts';
import { testRuntime } from './support/runtime.ts';
import { tinyModel } from './support/tiny-model.ts';

const GRID = { lines: 8, lineLength: 8 };
/** Of the golden VQ tokenizer: two pixels a side of a token. */
const LINE_BYTES = 2 * (2 * 8 * 3);

describe('ImageDecoder', () => {
  let runtime: Runtime;
  let model: ImageModel<LlamaGenPrompt>;
  let decoder: ImageDecoder;
  before(async () => {
    runtime = await testRuntime();
    model = await tinyModel(runtime);
    decoder = await ImageDecoder.open(model, GRID);
  });
  after(() => {
    decoder.dispose();
    model.dispose();
  });

  const tokens = (seed: number) => Uint32Array.from({ length: 64 }, (_, i) => (seed + 37 * i * i) % 256);
  const firstLines = (images: readonly Uint32Array<ArrayBuffer>[], lines: number) =>
    images.map((image) => image.slice(0, 8 * lines));

  it('previews the whole picture once every line is drawn', async () => {
    const images = [tokens(1), tokens(2)];

    assert.deepEqual(await decoder.preview(images), await decoder.decode(images));
  });

  it('leaves what is not drawn yet empty, and says which tokens it shows', async () => {
    const [whole] = await decoder.decode([tokens(1)]);
    // of half a picture, and of more
    for (const lines of [3, 5]) {
      const images = firstLines([tokens(1), tokens(2)], lines);

      const previews = await decoder.preview(images);

      for (const [i, { width, height, pixels, tokens: shown }] of previews.entries()) {
        assert.deepEqual([width, height, pixels.length], [whole!.width, whole!.height, whole!.pixels.length]);
        assert.ok(new Set(pixels.subarray(0, lines * LINE_BYTES)).size > 1);
        assert.ok(pixels.subarray(lines * LINE_BYTES).every((byte) => byte === 128));
        assert.deepEqual(shown, images[i]);
      }
    }
  });

  it('decodes half of the lines until more are drawn', () => {
    const decoded = Array.from({ length: 8 }, (_, i) => decoder.previewLines(i + 1));
    assert.deepEqual(decoded, [4, 4, 4, 4, 8, 8, 8, 8]);
  });
});
