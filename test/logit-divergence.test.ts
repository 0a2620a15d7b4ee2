import assert from 'node:assert/strict';
import type { MatrixDtype } from '../src/kernels/linear/weight.ts';
import { type LogitTrace, logitDivergence, traceLogits } from '../src/logit-divergence.ts';
import { OptionError, ShapeError } from '../src/tensor/errors.ts';
import { luminaConfig, openLumina, splitCheckpoint } from './support/chameleon.ts';
import { openGolden } from './support/golden.ts';
import { testRuntime } from './support/runtime.ts';
import { tinyModel } from './support/tiny-model.ts';
import { goldenConfig, greedy, loadBare, trace } from './support/trace.ts';

const prompt = { classes: [3, 7] };

describe('logit divergence', () => {
  it('is of the logits that a run of all lines would have, fed the likeliest tokens', async () => {
    const runtime = await testRuntime();
    const golden = await openGolden('llamagen-c2i');
    const bare = await loadBare(runtime, golden.model, goldenConfig('llamagen-c2i'));
    using model = await tinyModel(runtime);
    const choose = (logits: Float32Array) => greedy(logits, 2, 1);
    const expected = await trace(bare, { prompt, guided: false, choose });

    const traced = await traceLogits(model, { prompt, lines: 2 });

    assert.equal(traced.images, 2);
    assert.equal(traced.logits.length, 16);
    for (const [step, logits] of traced.logits.entries()) {
      assert.deepEqual(logits, expected[step]!.logits, `step ${step}`);
      assert.deepEqual([...traced.tokens[step]!], choose(logits));
    }
    bare.dispose();
    await golden.close();
  });

  it('is none between a model and itself, less for int8 than for int4, and leaves no memory behind', async () => {
    const runtime = await testRuntime();
    const before = runtime.liveBytes;
    const traced = async (dtype: MatrixDtype, tokens?: LogitTrace['tokens']) => {
      using model = await tinyModel(runtime, dtype);
      return await traceLogits(model, { prompt, lines: 2, ...(tokens && { tokens }) });
    };

    const float = await traced('f16');
    const [again, int8, int4] = [
      await traced('f16', float.tokens),
      await traced('int8', float.tokens),
      await traced('int4', float.tokens),
    ].map((other) => logitDivergence(float, other));

    assert.equal(runtime.liveBytes, before);
    assert.deepEqual(again, { mean: 0, largest: 0, relative: 0, sameChoice: 1, tokens: 32 });
    assert.ok(int8!.mean > 0 && 4 * int8!.mean < int4!.mean && int4!.relative < 1);
    assert.ok(int8!.mean < int8!.largest && int8!.sameChoice >= int4!.sameChoice);
  });

  it('feeds the ends of lines, and counts no logits there', async () => {
    const runtime = await testRuntime();
    const golden = await openGolden('chameleon');
    const { transformer, vqgan } = splitCheckpoint(golden.model);
    const config = luminaConfig();
    using model = await openLumina(runtime, { transformer, vqgan }, { config });
    const { lines, lineLength, lineEnd } = model.grid({ promptTokens: [[5, 6, 7]] });

    const traced = await traceLogits(model, { prompt: { promptTokens: [[5, 6, 7]] }, lines });

    assert.equal(traced.tokens.length, lines * lineLength);
    assert.equal(traced.logits.length, lines * (lineLength - 1));
    for (const [i, [token]] of traced.tokens.entries()) {
      if ((i + 1) % lineLength === 0) assert.equal(token, lineEnd);
      else assert.ok(token! >= model.imageTokens.first && token! < model.imageTokens.first + model.imageTokens.count);
    }
    await golden.close();
  });

  it('is counted by logit and by row', () => {
    const of = (...logits: number[][]): LogitTrace => ({
      tokens: [],
      logits: logits.map((step) => Float32Array.from(step)),
      images: 2,
    });
    const a = of([1, 2, 3, 1], [0, 4, 2, 0]);
    const b = of([1, 2.5, 3, 5], [0, 4, 2, 0]);
    assert.deepEqual(logitDivergence(a, b), {
      mean: 4.5 / 8,
      largest: 4,
      relative: Math.sqrt((0.25 + 16) / (2 * 0.25 + 2 * 1 + 2 * 4 + 2 * 1)),
      sameChoice: 3 / 4,
      tokens: 4,
    });
    assert.throws(() => logitDivergence(a, of([1, 2, 3, 1])), ShapeError);
  });

  it('refuses lines that the image does not have', async () => {
    using model = await tinyModel(await testRuntime());
    for (const lines of [0, 9, 1.5, Number.NaN])
      await assert.rejects(traceLogits(model, { prompt, lines }), OptionError);
  });
});
