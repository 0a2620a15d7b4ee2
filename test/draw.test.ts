import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FATES, type Retention } from '../src/cache/retention.ts';
import { draw } from '../src/draw.ts';
import { generate } from '../src/generate.ts';
import { GeneratedImage } from '../src/generated-image.ts';
import type { ImageModel } from '../src/models/image-model.ts';
import type { LlamaGenPrompt } from '../src/models/llamagen/condition.ts';
import { encodePng, readRecipe } from '../src/png.ts';
import { recipeFor } from '../src/recipe-for.ts';
import { OptionError } from '../src/tensor/errors.ts';
import type { Runtime } from '../src/tensor/runtime.ts';
import { useTinyModel } from './support/use-tiny-model.ts';

const LINE = 8;
const PROMPT = { classes: [3] };

describe('draw', () => {
  let runtime: Runtime;
  let model: ImageModel<LlamaGenPrompt>;
  useTinyModel((opened) => {
    model = opened;
    runtime = opened.runtime;
  });

  it('gives an event for every line and then the images that generate gives', async () => {
    const events: string[] = [];
    let images: readonly GeneratedImage[] = [];
    let previews: readonly GeneratedImage[] = [];
    for await (const event of draw(model, { prompt: PROMPT })) {
      events.push(event.kind === 'line' ? `${event.line}/${event.lines}` : event.kind);
      if (event.kind === 'images') images = event.images;
      else if (event.line === event.lines) previews = await event.preview();
    }
    assert.deepEqual(previews, images);
    assert.deepEqual(events, ['1/8', '2/8', '3/8', '4/8', '5/8', '6/8', '7/8', '8/8', 'images']);
    assert.deepEqual(images, await generate(model, { prompt: PROMPT }));
  });

  it('waits while an event is looked at, frees everything when the loop is left, and hands on what goes wrong', async () => {
    const before = runtime.liveBytes;
    let tokens: readonly Uint32Array[] = [];
    for await (const event of draw(model, { prompt: PROMPT })) {
      if (event.kind !== 'line') throw new Error('the run went on');
      await new Promise((later) => setTimeout(later, 20));
      tokens = await event.tokens();
      if (event.line === 2) break;
    }
    assert.equal(tokens[0]!.length, 2 * LINE);
    assert.equal(runtime.liveBytes, before);

    const stop = new AbortController();
    const aborted = async () => {
      for await (const event of draw(model, { prompt: PROMPT, signal: stop.signal }))
        if (event.kind === 'line') stop.abort(new Error('enough'));
    };
    await assert.rejects(aborted(), /enough/);
    await assert.rejects(async () => {
      for await (const _ of draw(model, { prompt: { classes: [-1] } }));
    }, OptionError);
    assert.equal(runtime.liveBytes, before);
  });

  it('draws several images of a prompt as it would draw the prompt several times', async () => {
    const twice = await generate(model, { prompt: { classes: [3, 1] }, images: 2 });
    assert.deepEqual(twice, await generate(model, { prompt: { classes: [3, 3, 1, 1] } }));
    const { prompt } = recipeFor(model, { prompt: { classes: [3, 1] }, images: 2 }, 2);
    assert.deepEqual(prompt, { classes: [1] });
  });

  it('tells which tokens are held, by which head, and how many each summary is the mean of', async () => {
    const seen: { readonly line: number; readonly retention: Retention }[] = [];
    const cache = { policy: 'summary', budgetLines: 4, anchorTokens: 3, summaries: 2, recentLines: 1 } as const;
    await generate(model, {
      prompt: PROMPT,
      cache,
      onLine: async ({ line, retained }) => void seen.push({ line, retention: await retained() }),
    });
    for (const { line, retention } of seen) {
      const { fates, counts, tokens, summaries } = retention;
      const fed = line * LINE - 1;
      for (let cell = 0; cell < retention.layers * retention.rows * retention.kvHeads; cell++) {
        const own = fates.subarray(cell * tokens, (cell + 1) * tokens);
        const joined = counts.subarray(cell * summaries, (cell + 1) * summaries).reduce((sum, count) => sum + count, 0);
        const are = (fate: number) => own.filter((one) => one === fate).length;
        assert.equal(are(FATES.waiting), tokens - fed);
        assert.equal(are(FATES.summarized), joined, `line ${line}`);
        assert.equal(are(FATES.held), line <= 4 ? fed : 4 * LINE - 1 - summaries);
        const newest = own.subarray(Math.max(0, (line - 2) * LINE), fed);
        for (const part of [own.subarray(0, 3), newest]) assert.ok(part.every((fate) => fate === FATES.held));
      }
      const roles = retention.pages.map((role) => role[0]).join('');
      assert.match(roles, line > 3 ? /^kk(cr|rc)$/ : /^[kr]*cf*$/);
    }
  });

  it('tells exactly the tokens that the streaming policy keeps', async () => {
    await generate(model, {
      prompt: PROMPT,
      cache: { policy: 'streaming', budgetLines: 3 },
      onLine: async ({ line, retained }) => {
        const { fates, tokens } = await retained();
        const expected = Array.from({ length: tokens }, (_, token) => {
          if (token >= line * LINE - 1) return FATES.waiting;
          return token < LINE || token >= (line - 2) * LINE ? FATES.held : FATES.forgotten;
        });
        for (let at = 0; at < fates.length; at += tokens)
          assert.deepEqual([...fates.subarray(at, at + tokens)], expected, `line ${line}`);
      },
    });
  });
});

describe('a generated image', () => {
  const image = new GeneratedImage({
    ...{ width: 2, height: 1 },
    ...{ pixels: Uint8Array.of(1, 2, 3, 4, 5, 6), tokens: Uint32Array.of(7) },
  });

  it('is saved as a PNG with its recipe, and as nothing else', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rasterline-test-'));
    try {
      await image.save(join(folder, 'a.PNG'));
      assert.deepEqual(new Uint8Array(await readFile(join(folder, 'a.PNG'))), encodePng(image));
      for (const name of ['a.jpg', 'a', '.png', 'no/a.png'])
        await assert.rejects(image.save(join(folder, name)), OptionError, name);
      assert.deepEqual(await readdir(folder), ['a.PNG']);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('becomes a blob of the same bytes', async () => {
    const blob = image.toBlob();
    assert.equal(blob.type, 'image/png');
    assert.deepEqual(new Uint8Array(await blob.arrayBuffer()), encodePng(image));
    assert.throws(() => readRecipe(encodePng(image)), /without a recipe/);
  });

  it('has its methods again after a structured clone, and is refused where it is none', () => {
    assert.deepEqual(new GeneratedImage(structuredClone(image)), image);
    assert.throws(() => new GeneratedImage({ ...image, width: 3 }), OptionError);
    assert.throws(() => new GeneratedImage({ ...image, tokens: [7] as never }), OptionError);
  });

  it('says what to take where there is no ImageData or canvas', () => {
    assert.throws(() => image.toImageData(), /OptionError: toImageData: .* take `pixels`/);
  });
});
