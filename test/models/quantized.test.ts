import assert from 'node:assert/strict';
import { gptWeights } from '../../src/models/llamagen/weights.ts';
import { weightBytes } from '../../src/models/weights/weight-bytes.ts';
import { relativeError } from '../support/close.ts';
import { openGolden } from '../support/golden.ts';
import { testRuntime } from '../support/runtime.ts';
import { goldenConfig, loadBare, trace } from '../support/trace.ts';

describe('a quantized model', () => {
  it('diverges from its float logits as little as its steps are fine, and takes the bytes that are planned', async () => {
    const runtime = await testRuntime();
    const golden = await openGolden('llamagen-c2i');
    const config = goldenConfig('llamagen-c2i');
    const forced = await golden.values('tf_tokens');
    const options = { prompt: { classes: [1] }, guided: false, choose: (_: Float32Array, i: number) => [forced[i]!] };
    const logits = new Map<string, Float32Array>();
    for (const dtype of ['f32', 'f16', 'int8', 'int4'] as const) {
      const before = runtime.liveBytes;
      const model = await loadBare(runtime, golden.model, config, dtype);
      const planned = weightBytes(gptWeights(config), dtype);
      // the plan leaves out the rounding of every tensor up to 16 bytes
      assert.ok(Math.abs(runtime.liveBytes - before - planned) < 16 * 100, dtype);
      const entries = await trace(model, options);
      logits.set(dtype, Float32Array.from(entries.flatMap((entry) => [...entry.logits])));
      model.dispose();
    }
    const error = (dtype: string) => relativeError(logits.get(dtype)!, logits.get('f32')!);
    // each of about 20 matrices and tables adds its own error; independent ones add as √20, taken twice for what a layer
    // amplifies. f16: 2^-11 / √3. A step s has deviation s / √12, over weights of deviation 0.35 of the largest of their
    // group (normal, 32 of them: 1 / 2.8): 1 / (127 · 0.35 · √12) and 1 / (7 · 0.35 · √12)
    const most = (one: number) => 2 * Math.sqrt(20) * one;
    assert.ok(error('f16') < most(2 ** -11 / Math.sqrt(3)), `f16 ${error('f16')}`);
    assert.ok(
      error('int8') < most(1 / (127 * 0.35 * Math.sqrt(12))) && error('int8') > error('f16'),
      `int8 ${error('int8')}`,
    );
    assert.ok(
      error('int4') < most(1 / (7 * 0.35 * Math.sqrt(12))) && error('int4') > 4 * error('int8'),
      `int4 ${error('int4')}`,
    );
    await golden.close();
  });
});
