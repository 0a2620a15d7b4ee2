import assert from 'node:assert/strict';
import { fittingModels } from '../../src/models/fitting.ts';
import { officialCheckpoint } from '../../src/models/official-names.ts';
import { type Checkpoint, openCheckpoint } from '../../src/tensor/checkpoint/checkpoint.ts';
import { FormatError } from '../../src/tensor/errors.ts';
import { fileSource } from '../../src/tensor/source/file-node.ts';

describe('official names', () => {
  let emoji: Checkpoint;
  before(async () => {
    emoji = await openCheckpoint(await fileSource('checkpoints/emoji/gpt.safetensors'));
  });
  after(() => emoji.close());

  const renamed = (name: (own: string) => string): Checkpoint => ({
    ...emoji,
    tensors: new Map([...emoji.tensors].map(([own, tensor]) => [name(own), tensor])),
  });

  it('are without what torch puts before those of a compiled or distributed model', () => {
    const names = (checkpoint: Checkpoint) => fittingModels(checkpoint).map((fit) => fit.definition.name);
    assert.deepEqual(names(emoji), ['emoji', 'emoji-text']);
    for (const prefix of ['_orig_mod.', 'module.', 'module._orig_mod.', '_orig_mod.module.'])
      assert.deepEqual(names(renamed((own) => prefix + own)), ['emoji', 'emoji-text'], prefix);
    assert.deepEqual(names(renamed((own) => `model.${own}`)), []);
  });

  it('belong to one tensor each', () => {
    const [[name, tensor] = []] = emoji.tensors;
    const both = new Map([...emoji.tensors, [`module.${name}`, { ...tensor!, name: `module.${name}` }]]);
    assert.throws(
      () => officialCheckpoint({ ...emoji, tensors: both }),
      (error) => error instanceof FormatError && error.message.includes(`got ${name} and module.${name} for it`),
    );
  });
});
