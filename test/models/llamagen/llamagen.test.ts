import assert from 'node:assert/strict';
import type { LlamaGenPrompt } from '../../../src/models/llamagen/condition.ts';
import { close } from '../../support/close.ts';
import { type Golden, openGolden } from '../../support/golden.ts';
import { testRuntime } from '../../support/runtime.ts';
import { goldenConfig, greedy, guided, loadBare, stack, trace } from '../../support/trace.ts';

/** As the fixtures' READMEs state it for f32. */
const TOLERANCE = { absolute: 2e-4, relative: 1e-4 };
const GUIDED_TOLERANCE = { absolute: 1e-3, relative: 1e-4 };

interface Fixture {
  readonly golden: Golden;
  readonly model: Awaited<ReturnType<typeof loadBare>>;
  readonly prompt: LlamaGenPrompt;
  readonly images: number;
}

async function open(folder: string): Promise<Fixture> {
  const golden = await openGolden(folder);
  const config = goldenConfig(folder);
  const model = await loadBare(await testRuntime(), golden.model, config);
  if (config.condition.kind === 'class') {
    const classes = Array.from(await golden.values('class_ids'));
    return { golden, model, prompt: { classes }, images: classes.length };
  }
  const { tokens, encoder } = config.condition;
  const { width } = encoder;
  const features = Float32Array.from(await golden.values('caption_embs'));
  const masks = Array.from(await golden.values('caption_masks'));
  const images = features.length / tokens / width;
  const captions = Array.from({ length: images }, (_, image) => ({
    features: features.slice(image * tokens * width, (image + 1) * tokens * width),
    length: masks.slice(image * tokens, (image + 1) * tokens).reduce((sum, bit) => sum + bit, 0),
  }));
  return { golden, model, prompt: { captions }, images };
}

for (const folder of ['llamagen-c2i', 'llamagen-c2i-gqa', 'llamagen-t2i']) {
  describe(`LlamaGen, ${folder}`, () => {
    let fixture: Fixture;
    before(async () => {
      fixture = await open(folder);
    });
    after(async () => {
      fixture.model.dispose();
      await fixture.golden.close();
    });

    it('gives the reference logits and activations for given tokens, in both branches', async () => {
      const { golden, model, prompt, images } = fixture;
      const forced = await golden.values('tf_tokens');
      const count = model.config.side ** 2;
      const choose = (_: Float32Array, i: number) =>
        Array.from({ length: images }, (_, b) => forced[b * (count - 1) + i]!);
      const entries = await trace(model, { prompt, guided: true, choose });
      const all = Array.from({ length: 2 * images }, (_, row) => row);
      close(stack(entries, 'logits', all, 2 * images), await golden.values('tf_logits'), TOLERANCE, 'logits');
      const first = [0, images];
      const steps = model.config.condition.kind === 'class' ? entries : [];
      if (steps.length > 0) {
        close(stack(entries, 'input', first, 2 * images), await golden.values('tf_layer0_in'), TOLERANCE, 'input');
        close(
          stack(entries, 'last', first, 2 * images),
          await golden.values('tf_last_layer_out'),
          TOLERANCE,
          'last block',
        );
      }
      close(
        stack(entries, 'attention', first, 2 * images),
        await golden.values('tf_layer0_attn_out'),
        TOLERANCE,
        'attention',
      );
      close(stack(entries, 'first', first, 2 * images), await golden.values('tf_layer0_out'), TOLERANCE, 'block 0');
    });

    it('draws the reference tokens greedily, with guidance', async () => {
      const { golden, model, prompt, images } = fixture;
      const entries = await trace(model, { prompt, guided: true, choose: (logits) => greedy(logits, images, 2) });
      const tokens = Array.from({ length: images }, (_, b) =>
        entries.map(({ logits }) => greedy(logits, images, 2)[b]!),
      ).flat();
      assert.deepEqual(tokens, Array.from(await golden.values('greedy_tokens_cfg2')));
      const mixed = Array.from({ length: images }, (_, b) =>
        entries.flatMap(({ logits }) => [...guided(logits, b, images, model.config.vocabulary, 2)]),
      );
      close(mixed.flat(), await golden.values('greedy_logits_cfg2'), GUIDED_TOLERANCE, 'guided logits');
    });
  });
}
