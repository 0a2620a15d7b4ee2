import assert from 'node:assert/strict';
import { generate } from '../../../src/generate.ts';
import type { JanusConfig } from '../../../src/models/janus/config.ts';
import { officialName } from '../../../src/models/janus/names.ts';
import { officialCheckpoint } from '../../../src/models/official-names.ts';
import { FormatError } from '../../../src/tensor/errors.ts';
import type { Runtime } from '../../../src/tensor/runtime.ts';
import { close } from '../../support/close.ts';
import { type Golden, openGolden } from '../../support/golden.ts';
import { type BareJanus, convertedConfig, janusConfig, loadBareJanus } from '../../support/janus.ts';
import { testRuntime } from '../../support/runtime.ts';
import { stack, trace } from '../../support/trace.ts';

/** As for the official fixture: both are f32 of the same depth. */
const TOLERANCE = { absolute: 2e-4, relative: 1e-4 };

describe('Janus-Pro as transformers saves it', () => {
  let runtime: Runtime;
  let golden: Golden;
  let config: JanusConfig;
  let bare: BareJanus;
  let ids: readonly number[];
  let tokens: readonly number[];
  before(async () => {
    runtime = await testRuntime();
    golden = await openGolden('janus-converted');
    config = convertedConfig();
    bare = await loadBareJanus(runtime, golden.model, config);
    ids = Array.from(await golden.values('prompt_ids'));
    tokens = Array.from(await golden.values('greedy_tokens'));
  });
  after(async () => {
    bare.dispose();
    await golden.close();
  });

  it('gives the logits of transformers, in both branches', async () => {
    const prompt = { promptTokens: [ids] };
    const entries = await trace(bare, { prompt, guided: true, choose: (_, i) => [tokens[i]!] });
    close(stack(entries, 'logits', [0, 1], 2), await golden.values('logits'), TOLERANCE, 'logits');
  });

  it('draws the tokens and the image of transformers', async () => {
    const [image] = await generate(bare.model, { prompt: { promptTokens: [ids] }, temperature: 0 });
    assert.deepEqual([...image!.tokens], tokens);
    const expected = Array.from(await golden.values('image'), (x) =>
      Math.floor((Math.min(1, Math.max(-1, x)) + 1) * 127.5),
    );
    close(image!.pixels, expected, { absolute: 1 }, 'bytes');
  });

  it('gives the very logits of the official checkpoint, its tensors renamed', async () => {
    const official = await openGolden('janus');
    const names = [...official.model.tensors.keys()];
    assert.deepEqual(names.map(converted).map(officialName), names);
    const tensors = new Map([...official.model.tensors].map(([name, tensor]) => [converted(name), tensor] as const));
    const prompt = { promptTokens: [Array.from(await official.values('prompt_ids'))] };
    const forced = await official.values('tf_tokens');
    const logits: Float32Array[] = [];
    for (const checkpoint of [official.model, { ...official.model, tensors }]) {
      const model = await loadBareJanus(runtime, checkpoint, janusConfig());
      const entries = await trace(model, { prompt, guided: true, choose: (_, i) => [forced[i]!] });
      logits.push(stack(entries, 'logits', [0, 1], 2));
      model.dispose();
    }
    assert.deepEqual(logits[1], logits[0]);
    await official.close();
  });

  it('refuses a checkpoint that has a tensor under both names, naming them', () => {
    const tensor = golden.model.tensors.get('model.generation_embeddings.weight')!;
    const tensors = new Map([...golden.model.tensors, ['gen_embed.weight', { ...tensor, name: 'gen_embed.weight' }]]);
    assert.throws(
      () => officialCheckpoint({ ...golden.model, tensors }, officialName),
      (error) =>
        error instanceof FormatError &&
        /one tensor gen_embed\.weight, got model\.generation_embeddings\.weight and gen_embed\.weight/.test(
          error.message,
        ),
    );
  });
});

/** The conversion's name of an official tensor, written from the state dict of a tiny JanusForConditionalGeneration. */
function converted(name: string): string {
  const [head = '', ...rest] = name.split('.');
  const tail = rest.join('.');
  if (head === 'language_model') return tail.startsWith('model.') ? `model.language_model.${tail.slice(6)}` : tail;
  if (head === 'gen_embed') return `model.generation_embeddings.${tail}`;
  if (head === 'gen_aligner')
    return `model.generation_aligner.${tail.replace('layers.0', 'fc1').replace('layers.2', 'hidden_layers.0')}`;
  if (head === 'gen_head') return `model.generation_head.${tail.replace('output_mlp_projector', 'proj_out')}`;
  const vq = tail
    .replace('mid.0.', 'mid.block_1.')
    .replace('mid.1.', 'mid.attn_1.')
    .replace('mid.2.', 'mid.block_2.')
    .replace(/conv_blocks\.(\d+)\.res\./, 'up.$1.block.')
    .replace('conv_blocks.', 'up.');
  return `model.vqmodel.${vq}`;
}
