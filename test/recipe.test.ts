import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { decode, encode } from 'fast-png';
import { checkModel, modelDefinition } from '../src/models/registry.ts';
import { encodePng, readRecipe } from '../src/png.ts';
import { recipeText } from '../src/recipe.ts';
import { recipeFor } from '../src/recipe-for.ts';
import { FormatError, OptionError } from '../src/tensor/errors.ts';
import { VERSION } from '../src/version.ts';

const MODEL = {
  name: 'emoji-text',
  defaults: { guidanceScale: 2, topK: 0, temperature: 0.3, topP: 1 },
  grid: () => ({ lines: 16, lineLength: 16 }),
};
const PICTURE = { width: 2, height: 1, pixels: new Uint8Array([255, 0, 0, 0, 255, 0]) };

describe('a recipe', () => {
  it('comes back from a PNG as it was, whatever the prompt, beside the same pixels', () => {
    const prompts = fc.array(fc.string({ unit: 'binary' }), { minLength: 1, maxLength: 3 });
    const property = fc.property(prompts, fc.maxSafeNat(), fc.nat({ max: 2 }), (words, seed, at) => {
      const image = at % words.length;
      const options = { prompt: { prompts: words }, seed, firstImage: 5, cache: { budgetLines: 4 } };
      const recipe = recipeFor(MODEL, options, image, { dtype: 'int8' });
      const png = encodePng(PICTURE, recipe);
      assert.deepEqual(readRecipe(png), recipe);
      assert.deepEqual([...decode(png).data], [...PICTURE.pixels]);
      assert.deepEqual(recipe.prompt, { prompts: [words[image]] });
    });
    fc.assert(property, { numRuns: 100, examples: [[['ℝ🍉"\\\n\u0000'], 7, 0]] });
  });

  it('has every number of the draw and the policy, those of the defaults too', () => {
    const { sampling, cache, version } = recipeFor(
      MODEL,
      { prompt: { prompts: ['a', 'b'] }, temperature: 0.5, cache: { budgetLines: 4, kvDtype: 'int8' } },
      1,
    );
    assert.deepEqual(sampling, {
      ...MODEL.defaults,
      temperature: 0.5,
      cfgInterval: -1,
      seed: 0,
      firstImage: 1,
    });
    assert.deepEqual(cache, { budgetLines: 4, kvDtype: 'int8', policy: 'summary' });
    assert.equal(version, VERSION);
  });

  it('names the family and the configuration of a model of any size, which define the same again', () => {
    const model = { family: 'llamagen', config: { layers: 2, heads: 2, width: 64, side: 4 } } as const;
    const { name, origin, defaults, grid, geometry } = modelDefinition(model, { vqPreset: 'vq-ds8' });
    const made = recipeFor(
      { name, ...(origin && { origin }), defaults, grid: () => grid },
      { prompt: { classes: [1] } },
      0,
    );

    const recipe = readRecipe(encodePng(PICTURE, made));

    assert.deepEqual(recipe.model, { ...model, config: { ...model.config, vq: 'vq-ds8' } });
    const again = modelDefinition(checkModel(recipe.model));
    assert.deepEqual([again.geometry, again.vq], [geometry, modelDefinition(model, { vqPreset: 'vq-ds8' }).vq]);
  });

  it('says to any viewer what was drawn', () => {
    const text = recipeText(recipeFor(MODEL, { prompt: { prompts: ['a cow'] } }, 0));
    assert.equal(text.Description, 'a cow');
    assert.equal(text.Software, `rasterline ${VERSION}`);
  });

  it('is refused where a picture cannot hold the prompt, or the run has no such image', () => {
    const features = { prompt: { captions: [{ features: new Float32Array(4), length: 1 }] } };
    assert.throws(() => recipeFor(MODEL, features, 0), OptionError);
    assert.throws(() => recipeFor(MODEL, { prompt: { prompts: ['a'] } }, 1), OptionError);
  });

  it('is refused with a FormatError where a PNG has none, or one that does not hold together', () => {
    const withText = (rasterline: string) =>
      encode({ ...PICTURE, data: PICTURE.pixels, channels: 3, text: { rasterline } });
    const cases: readonly (readonly [Uint8Array, RegExp])[] = [
      [new Uint8Array(3), /p\.png: expected a PNG, got/],
      [encodePng(PICTURE), /p\.png: expected a picture that rasterline wrote/],
      [withText('{'), /p\.png: expected a recipe in JSON/],
      [withText('null'), /p\.png: expected a recipe with version/],
      [
        withText('{"version":"1","model":"emoji","prompt":{},"sampling":{},"cache":{},"loaded":{"vq":1}}'),
        /with version/,
      ],
      [
        withText('{"version":"1","model":{"family":"llamagen"},"prompt":{},"sampling":{},"cache":{},"loaded":{}}'),
        /with version/,
      ],
    ];
    for (const [png, message] of cases)
      assert.throws(
        () => readRecipe(png, 'p.png'),
        (error) => error instanceof FormatError && message.test(error.message),
      );
  });

  it('names the version that package.json has', () => {
    assert.equal(VERSION, JSON.parse(readFileSync('package.json', 'utf8')).version);
  });
});
