import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from '../../src/generate.ts';
import { chameleonConfig } from '../../src/models/chameleon/config.ts';
import { chameleon } from '../../src/models/chameleon/family.ts';
import { type LoadModelOptions, loadModel } from '../../src/models/load-model.ts';
import { openModel } from '../../src/models/open-model.ts';
import { type FamilyModel, modelDefinition } from '../../src/models/registry.ts';
import { FormatError, OptionError } from '../../src/tensor/errors.ts';
import type { Runtime } from '../../src/tensor/runtime.ts';
import { openGolden } from '../support/golden.ts';
import { madeFamily } from '../support/made-family.ts';
import { randomCheckpoint } from '../support/random-checkpoint.ts';
import { testRuntime } from '../support/runtime.ts';
import { tinyModel } from '../support/tiny-model.ts';
import { TINY_VQ } from '../support/trace.ts';

const GPT = 'test/golden/llamagen-c2i/model.safetensors';
const VQ = 'test/golden/llamagen-vq/model.safetensors';

/** The golden class-conditional model, as a caller would describe a checkpoint of their own. */
const OWN = {
  layers: 3,
  heads: 4,
  width: 64,
  side: 8,
  intermediateSize: 172,
  vocabulary: 256,
  condition: { kind: 'class', classes: 10 },
  vq: TINY_VQ,
} as const;

/** The text of transformers' config.json of the golden converted model: what equals its defaults is left out. */
const JANUS_JSON = {
  model_type: 'janus',
  text_config: {
    hidden_size: 48,
    intermediate_size: 76,
    num_hidden_layers: 2,
    num_attention_heads: 3,
    num_key_value_heads: 1,
    head_dim: 16,
    vocab_size: 90,
    rope_parameters: { rope_theta: 10000.0, rope_type: 'default' },
  },
  vision_config: { image_size: 64 },
  vq_config: {
    num_embeddings: 96,
    latent_channels: 32,
    base_channels: 32,
    channel_multiplier: [1, 2],
    num_res_blocks: 1,
    projection_dim: 48,
  },
};

describe('families', () => {
  let runtime: Runtime;
  before(async () => {
    runtime = await testRuntime();
  });

  it('load a model of any size by its configuration, which draws what the same model by other ways draws', async () => {
    const prompt = { classes: [3] };
    using own = await loadModel(
      runtime,
      { family: 'llamagen', config: OWN },
      { checkpoint: GPT, vq: VQ, dtype: 'f32' },
    );
    using tiny = await tinyModel(runtime);

    const [[image], [expected]] = [await generate(own, { prompt }), await generate(tiny, { prompt })];

    assert.equal(own.name, 'llamagen');
    assert.deepEqual(image, expected);
  });

  it('read the config.json beside a checkpoint of transformers', async () => {
    const golden = await openGolden('janus-converted');
    const folder = await mkdtemp(join(tmpdir(), 'rasterline-family-'));
    await copyFile('test/golden/janus-converted/model.safetensors', join(folder, 'model.safetensors'));
    await writeFile(join(folder, 'config.json'), JSON.stringify(JANUS_JSON));
    const load = async (options: LoadModelOptions) => await loadModel(runtime, { family: 'janus' }, options);

    using model = await load({ checkpoint: folder, dtype: 'f32' });
    const promptTokens = [Array.from(await golden.values('prompt_ids'))];
    const [image] = await generate(model, { prompt: { promptTokens }, guidanceScale: 1, temperature: 0 });

    assert.deepEqual([image?.width, image?.tokens.length], [8, 16]);
    const alone = load({ checkpoint: join(folder, 'model.safetensors') });
    await assert.rejects(alone, OptionError, 'a file alone has no config.json beside it');
    for (const [text, error] of [
      ['{', FormatError],
      ['[]', FormatError],
      [JSON.stringify({ ...JANUS_JSON, text_config: { hidden_act: 'gelu' } }), FormatError],
      [JSON.stringify({ ...JANUS_JSON, text_config: { num_hidden_layers: 'two' } }), OptionError],
    ] as const) {
      await writeFile(join(folder, 'config.json'), text);
      await assert.rejects(load({ checkpoint: folder }), error, text);
    }
    await golden.close();
    await rm(folder, { recursive: true });
  });

  it('read sizes and the ids of image tokens from the config.json of Lumina-mGPT', () => {
    const { fromTransformers } = chameleon;
    const ids = { '<racm3:break>': 53, '<reserved08801>': 64, '<reserved08799>': 62, IMGIMGAZ: 5 };

    const config = chameleonConfig(
      fromTransformers({
        model_type: 'chameleon',
        num_hidden_layers: 1,
        vocab_size: 99,
        vocabulary_map: ids,
      }) as object,
    );

    assert.deepEqual({ ...config.tokens }, { imageStart: 53, size: 63, newline: 62, firstCode: 5 });
    assert.deepEqual([config.layers, config.width, config.vocabulary], [1, 4096, 99]);
    assert.throws(() => fromTransformers({ swin_norm: true }), FormatError);
    assert.throws(() => fromTransformers({ vocabulary_map: {} }), /expected an id of <racm3:break>/);
  });

  it('refuse a configuration by the name that is wrong in it, before a file is opened', async () => {
    const wrong: readonly (readonly [object, RegExp])[] = [
      [{ family: 'llamagen' }, /^config: expected one for llamagen, got none/],
      [{ family: 'lamagen', config: OWN }, /^family: expected one of llamagen, janus, chameleon, got 'lamagen'/],
      [{ family: 'llamagen', confg: OWN }, /^model: expected no option 'confg', got one; did you mean config\?/],
      [{}, /^family: expected one of/],
      [{ family: 'llamagen', config: { ...OWN, wdth: 64 } }, /did you mean width\?/],
      [
        { family: 'llamagen', config: { ...OWN, layers: undefined } },
        /^layers: expected a whole number from 1 to 1024, got/,
      ],
      [{ family: 'llamagen', config: { ...OWN, width: 66 } }, /^width: expected a multiple of 4 for each of 4 heads/],
      [{ family: 'llamagen', config: { ...OWN, kvHeads: 3 } }, /^heads: expected a multiple of the 3 kvHeads/],
      [{ family: 'llamagen', config: { ...OWN, condition: { kind: 'class' } } }, /^condition\.classes: expected/],
      [{ family: 'llamagen', config: { ...OWN, condition: { kind: 'words' } } }, /^condition\.kind: expected one of/],
      [{ family: 'llamagen', config: { ...OWN, vq: 'vq-ds17' } }, /^vqPreset: expected one of/],
      [{ family: 'llamagen', config: { ...OWN, vq: { ...TINY_VQ, baseChannels: 40 } } }, /^vq\.baseChannels: expected/],
      [{ family: 'janus', config: { layers: 2, heads: 3, width: 48 } }, /^intermediateSize: expected/],
      [{ family: 'chameleon', config: { tokens: { imageStart: 1 } } }, /^tokens\.size: expected/],
    ];
    for (const [model, text] of wrong) {
      const loading = loadModel(runtime, model as FamilyModel, { checkpoint: 'nowhere', vq: 'nowhere' });
      await assert.rejects(loading, (error) => error instanceof OptionError && text.test(error.message), String(text));
    }
    assert.throws(() => modelDefinition('emojy'), /got emojy; did you mean emoji\?/);
  });

  it('can be new: one definition loads, plans and draws', async () => {
    const definition = madeFamily.presets['made-tiny']('made-tiny');
    const checkpoints = {
      checkpoint: randomCheckpoint(definition.parts.checkpoint?.weights, 1),
      vq: randomCheckpoint(definition.parts.vq?.weights, 2),
    };
    const before = runtime.liveBytes;
    const model = await openModel(runtime, definition, { checkpoints, dtype: 'f32' });

    const images = await generate(model, { prompt: { colors: [0, 2] }, cache: { budgetLines: 3 } });

    assert.deepEqual(
      images.map(({ width, height, tokens }) => [width, height, tokens.length]),
      [
        [8, 8, 16],
        [8, 8, 16],
      ],
    );
    await assert.rejects(generate(model, { prompt: { colors: [7] } }), OptionError);
    model.dispose();
    assert.equal(runtime.liveBytes, before);
  });

  it('tell the compiler what each model draws from, and say it at run time too', async () => {
    using emoji = await loadModel(runtime, 'emoji');

    // @ts-expect-error: it draws classes
    const words = generate(emoji, { prompt: { prompts: ['a cat'] } });
    await assert.rejects(words, (error) => error instanceof OptionError && /class-conditional/.test(error.message));

    const unused = async () => {
      const classes = { prompt: { classes: [1] } };
      const prompts = { prompt: { prompts: ['a cat'] } };
      await generate(await loadModel(runtime, 'emoji'), classes);
      await generate(await loadModel(runtime, 'emoji-text'), prompts);
      await generate(await loadModel(runtime, 'llamagen-xl-t2i-256'), prompts);
      await generate(await loadModel(runtime, 'janus-pro-1b'), prompts);
      await generate(await loadModel(runtime, { family: 'chameleon' }), prompts);
      await generate(await loadModel(runtime, { family: 'llamagen', config: OWN }), classes);
      // @ts-expect-error: it draws from text
      await generate(await loadModel(runtime, 'emoji-text'), classes);
      // @ts-expect-error: likewise
      await generate(await loadModel(runtime, 'janus-pro-1b'), classes);
      // @ts-expect-error: likewise
      await generate(await loadModel(runtime, { family: 'chameleon' }), classes);
      // @ts-expect-error: there is none of that name
      await loadModel(runtime, 'emojy');
      // @ts-expect-error: nor of that family
      await loadModel(runtime, { family: 'lamagen' });
    };
    assert.equal(typeof unused, 'function');
  });
});
