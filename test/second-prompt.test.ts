import assert from 'node:assert/strict';
import { generate } from '../src/generate.ts';
import { Runtime } from '../src/tensor/runtime.ts';
import { openGolden } from './support/golden.ts';
import { janusConfig, openJanus } from './support/janus.ts';

describe('a second run', () => {
  it('makes no pipeline, whatever the length of its prompt, from attention to the end of a line and the picture', async () => {
    using runtime = await Runtime.open({ driver: 'null', tuning: 'priors' });
    const golden = await openGolden('janus');
    using model = await openJanus(runtime, golden.model, { config: janusConfig() });
    await golden.close();
    for (const policy of ['full', 'line-ar', 'summary', 'streaming'] as const) {
      const cache = { policy, ...(policy !== 'full' && { budgetLines: 3 }) };
      const draw = async (tokens: number, temperature: number) => {
        const prompt = { promptTokens: [new Array<number>(tokens).fill(3)] };
        await generate(model, { prompt, cache, temperature, guidanceScale: 2 });
      };
      await draw(5, 1);
      const { pipelines } = runtime.counters;

      for (const tokens of [4, 6, 12]) await draw(tokens, 0.5);

      assert.equal(runtime.counters.pipelines, pipelines, policy);
    }
  });
});
