import assert from 'node:assert/strict';
import fc from 'fast-check';
import { generate, type LineProgress } from '../src/generate.ts';
import type { ImageModel } from '../src/models/image-model.ts';
import type { LlamaGenPrompt } from '../src/models/llamagen/condition.ts';
import { DecodeError, DeviceError, DisposedError, RasterlineError } from '../src/tensor/errors.ts';
import { defineKernel } from '../src/tensor/kernel.ts';
import { Runtime } from '../src/tensor/runtime.ts';
import { failingDevice } from './support/failing-device.ts';
import { testRuntime } from './support/runtime.ts';
import { tinyModel } from './support/tiny-model.ts';

const PROMPT = { classes: [3] };

describe('a runtime', () => {
  it('after any script of loads, draws, aborts, disposals and failing memory holds no byte and works', async () => {
    using host = await Runtime.open({ driver: 'null' });
    const action = fc.oneof(
      fc.record({ kind: fc.constant('load' as const) }),
      fc.record({ kind: fc.constant('draw' as const), images: fc.integer({ min: 1, max: 3 }), waits: fc.boolean() }),
      fc.record({ kind: fc.constant('abort' as const), line: fc.integer({ min: 1, max: 8 }) }),
      fc.record({ kind: fc.constant('dispose' as const) }),
      fc.record({
        kind: fc.constant('fail' as const),
        how: fc.constantFrom('out-of-memory' as const, 'throws' as const),
        after: fc.nat(120),
      }),
    );
    const check = async (script: readonly (typeof action extends fc.Arbitrary<infer A> ? A : never)[]) => {
      const { device, failNext, heal } = failingDevice(host.device);
      const runtime = await Runtime.open({ device });
      const models: ImageModel<LlamaGenPrompt>[] = [];
      const running: Promise<unknown>[] = [];
      /** Only typed errors may come out. */
      const attempt = async (work: () => Promise<unknown>) => {
        await work().catch((error) => assert.ok(error instanceof RasterlineError, String(error)));
      };
      for (const step of script) {
        const model = models.at(-1);
        if (step.kind === 'load') await attempt(async () => models.push(await tinyModel(runtime)));
        if (step.kind === 'fail') failNext(step.after, step.how);
        if (step.kind === 'dispose') models.pop()?.dispose();
        if (step.kind === 'draw' && model) {
          const draw = attempt(() => generate(model, { prompt: { classes: new Array(step.images).fill(1) } }));
          if (step.waits) await draw;
          else running.push(draw);
        }
        if (step.kind === 'abort' && model) {
          const controller = new AbortController();
          const { signal } = controller;
          const onLine = ({ line }: { readonly line: number }) =>
            void (line === step.line && controller.abort('enough'));
          await generate(model, { prompt: PROMPT, signal, onLine, cache: { budgetLines: 4 } }).catch(
            (error) => error === 'enough' || assert.ok(error instanceof RasterlineError, String(error)),
          );
        }
      }
      await Promise.all(running);
      heal();
      for (const model of models) model.dispose();
      assert.equal(runtime.liveBytes, 0);
      using last = await tinyModel(runtime);
      assert.equal((await generate(last, { prompt: PROMPT })).length, 1);
      last.dispose();
      assert.equal(runtime.liveBytes, 0);
    };

    await fc.assert(fc.asyncProperty(fc.array(action, { minLength: 2, maxLength: 8 }), check), { numRuns: 30 });
  });

  it('keeps drawing what it draws when its model is disposed of, and gives the memory back after', async () => {
    const runtime = await testRuntime();
    const before = runtime.liveBytes;
    const model = await tinyModel(runtime);
    const [whole] = await generate(model, { prompt: PROMPT, seed: 4 });

    const onLine = ({ line }: { readonly line: number }) => void (line === 2 && model.dispose());
    const [image] = await generate(model, { prompt: PROMPT, seed: 4, onLine });

    assert.deepEqual(image, whole);
    assert.equal(runtime.liveBytes, before);
    await assert.rejects(generate(model, { prompt: PROMPT }), DisposedError);
    assert.equal(runtime.liveBytes, before);
  });

  it('says what did not fit, frees it, and draws on', async () => {
    using host = await Runtime.open({ driver: 'null' });
    const { device, failNext, heal } = failingDevice(host.device);
    using runtime = await Runtime.open({ device });
    using model = await tinyModel(runtime);
    const before = runtime.liveBytes;
    failNext(5, 'out-of-memory');

    const run = generate(model, { prompt: PROMPT });

    await assert.rejects(run, (error) => error instanceof DeviceError && /expected memory for it/.test(error.message));
    heal();
    assert.equal(runtime.liveBytes, before);
    assert.equal((await generate(model, { prompt: PROMPT })).length, 1);
  });

  it('draws lines while what makes pixels of them is still being compiled', async () => {
    using runtime = await Runtime.open({ driver: 'null' });
    using model = await tinyModel(runtime);
    const { device } = runtime;
    const compile = device.createComputePipelineAsync.bind(device);
    let go = () => {};
    const drawn = new Promise<void>((resolve) => {
      go = resolve;
    });
    device.createComputePipelineAsync = async (descriptor) => {
      if (descriptor.label?.startsWith('conv')) await drawn;
      return await compile(descriptor);
    };

    const onLine = ({ line }: LineProgress) => void (line === 2 && go());
    const images = await generate(model, { prompt: PROMPT, onLine });

    assert.equal(images.length, 1);
  });

  it('hands all tokens on when no pixels can be made of them, frees everything, and draws on', async () => {
    using host = await Runtime.open({ driver: 'null' });
    const { device, failNext, heal } = failingDevice(host.device);
    using runtime = await Runtime.open({ device });
    using model = await tinyModel(runtime);
    const before = runtime.liveBytes;
    const prompt = { classes: [1, 2] };
    // the buffer that tokens are read through is there, the one of the pixels is not
    const onLine = ({ line, lines }: LineProgress) => (line === lines ? failNext(1, 'throws') : undefined);

    const error = await generate(model, { prompt, onLine }).catch((reason: unknown) => reason);

    assert.ok(error instanceof DecodeError && error.cause instanceof DeviceError, String(error));
    assert.deepEqual(
      error.tokens.map(({ length }) => length),
      [64, 64],
    );
    assert.equal(runtime.liveBytes, before);
    heal();
    assert.equal((await generate(model, { prompt })).length, 2);
  });

  it('refuses a batch that no dispatch holds before it takes memory, and says how many images it holds', async () => {
    using runtime = await Runtime.open({ driver: 'null' });
    using model = await tinyModel(runtime);
    const { peakBytes } = runtime;
    const run = generate(model, { prompt: { classes: new Array<number>(40_000).fill(1) } });
    await assert.rejects(run, /^OptionError: prompt: expected at most 32767 images at once, got 40000/);
    assert.ok(runtime.peakBytes - peakBytes <= 4 * 80_000);
  });

  it('leaves the error handler of a device to its owner', async () => {
    using host = await Runtime.open({ driver: 'null' });
    const { device } = host;
    const seen: string[] = [];
    const theirs = (event: GPUUncapturedErrorEvent) => void seen.push(event.error.message);
    device.onuncapturederror = theirs;
    using runtime = await Runtime.open({ device });

    assert.equal(device.onuncapturederror, theirs);
    device.createBuffer({ size: 16, usage: 0 });
    await runtime.settled();
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(seen.length, 1);
    runtime.dispose();
    assert.equal(device.onuncapturederror, theirs);
  });

  it('keeps a bounded number of pipelines, and those of live programs', async () => {
    using runtime = await Runtime.open({ driver: 'null' });
    const kernel = defineKernel('fill', { y: 'write f32' }, '@compute @workgroup_size(1) fn main() { y[0] = f32(N); }');
    const fill = (n: number) => () => {
      const y = runtime.result([1], 'f32', 'y');
      runtime.dispatch(kernel, { y }, { N: n }, [1]);
      return y;
    };
    using held = await runtime.record('held', fill(0));

    for (let n = 1; n <= 300; n++) (await runtime.record('passing', fill(n))).dispose();

    assert.equal(runtime.pipelines.count, 256);
    const { pipelines } = runtime.counters;
    (await runtime.record('again', fill(0))).dispose();
    assert.equal(runtime.counters.pipelines, pipelines, held.label);
    (await runtime.record('forgotten', fill(1))).dispose();
    assert.equal(runtime.counters.pipelines, pipelines + 1);
  });

  it('knows the time of a program from others that dispatched the same, as every run records its own', async () => {
    using runtime = await Runtime.open({ driver: 'null' });
    const kernel = defineKernel('one', { y: 'write f32' }, '@compute @workgroup_size(1) fn main() { y[0] = 1.0; }');
    const dispatch = (workgroups: number) => () =>
      runtime.dispatch(kernel, { y: runtime.result([1], 'f32', 'y') }, {}, [workgroups]);

    using first = await runtime.record('step', dispatch(1));
    using again = await runtime.record('step', dispatch(1));
    using other = await runtime.record('step', dispatch(2));

    assert.equal(again.timed, first.timed);
    assert.notEqual(other.timed, first.timed);
  });
});
