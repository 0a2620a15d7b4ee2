import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { EvictionPolicy } from '../../src/cache/policy.ts';
import { generate } from '../../src/generate.ts';
import type { GeneratedImage } from '../../src/generated-image.ts';
import { testRuntime } from '../support/runtime.ts';
import { tinyModel } from '../support/tiny-model.ts';

describe('the example of EvictionPolicy', () => {
  it('is a policy that draws, and forgets', async () => {
    const text = readFileSync('src/cache/policies/eviction-policy.ts', 'utf8');
    const [, example = ''] = / \* @example\n([\s\S]*?)\n \*\//.exec(text) ?? [];
    const code = example.replaceAll(/^ \* ?/gm, '').replace('const keen: EvictionPolicy =', 'const keen =');
    using model = await tinyModel(await testRuntime());
    const prompt = { classes: [3] };
    const drawn: GeneratedImage[] = [];
    const onTiny = async (_: unknown, { cache }: { readonly cache: { readonly policy: EvictionPolicy } }) =>
      drawn.push(...(await generate(model, { prompt, cache })));

    await new Function('generate', 'model', `return (async () => { ${code} })();`)(onTiny, model);

    const [full] = await generate(model, { prompt });
    assert.equal(drawn.length, 1);
    assert.notDeepEqual(drawn[0]?.tokens, full?.tokens);
  });
});
