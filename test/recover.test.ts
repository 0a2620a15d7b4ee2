import assert from 'node:assert/strict';
import fc from 'fast-check';
import { generate, type LineProgress } from '../src/generate.ts';
import type { GeneratedImage } from '../src/generated-image.ts';
import { type Journal, parseJournal } from '../src/journal.ts';
import type { ImageModel } from '../src/models/image-model.ts';
import type { LlamaGenPrompt } from '../src/models/llamagen/condition.ts';
import { generateAndRecover } from '../src/recover.ts';
import { DeviceError, FormatError, OutOfMemoryError } from '../src/tensor/errors.ts';
import { Runtime } from '../src/tensor/runtime.ts';
import { type FailingDevice, failingDevice } from './support/failing-device.ts';
import { testRuntime } from './support/runtime.ts';
import { tinyModel } from './support/tiny-model.ts';

const OPTIONS = { prompt: { classes: [3] }, guidanceScale: 1, seed: 8, topK: 40, cache: { budgetLines: 4 } } as const;
const LINES = 8;

/** What can happen at a line, each once. */
type Fault = 'lost' | 'lost in the line' | 'lost in a preview' | 'abort' | 'throw' | 'memory';
const FAULTS: readonly Fault[] = ['lost', 'lost in the line', 'lost in a preview', 'abort', 'throw', 'memory'];

describe('a run whose device is lost', () => {
  let undisturbed: readonly GeneratedImage[];
  before(async () => {
    using model = await tinyModel(await testRuntime());
    undisturbed = await generate(model, OPTIONS);
  });

  /** Devices that stand before the real one, the last of which is in use. */
  class Devices {
    readonly opened: { readonly failing: FailingDevice; readonly model: ImageModel<LlamaGenPrompt> }[] = [];

    readonly open = async (): Promise<ImageModel<LlamaGenPrompt>> => {
      const failing = failingDevice((await testRuntime()).device);
      const model = await tinyModel(await Runtime.open({ device: failing.device }));
      this.opened.push({ failing, model });
      return model;
    };

    get last() {
      return this.opened.at(-1)!;
    }

    dispose(): void {
      for (const { model } of this.opened) {
        model.dispose();
        assert.equal(model.runtime.liveBytes, 0);
        model.runtime.dispose();
      }
    }
  }

  it('is the undisturbed one though a device is lost at every line, and tells each line once', async () => {
    const devices = new Devices();
    const told: number[] = [];
    const onLine = async ({ line, tokens }: LineProgress) => {
      told.push(line);
      assert.deepEqual([...(await tokens())[0]!], [...undisturbed[0]!.tokens.slice(0, 8 * line)]);
      devices.last.failing.lose();
    };

    const images = await generateAndRecover(await devices.open(), { ...OPTIONS, onLine, reload: devices.open });

    assert.deepEqual(images, undisturbed);
    assert.deepEqual(told, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert.equal(devices.opened.length, LINES + 1);
    devices.dispose();
  });

  it('is the undisturbed one with several tokens a step too', async () => {
    for (const steps of [{ parallel: { window: 3 } }, { speculate: { tokens: 3 } }]) {
      const options = { ...OPTIONS, cache: { budgetLines: 6 }, ...steps };
      using model = await tinyModel(await testRuntime());
      const whole = await generate(model, options);
      const devices = new Devices();
      const onLine = ({ line }: LineProgress) => {
        if (line === 4) devices.last.failing.lose();
      };
      assert.deepEqual(
        await generateAndRecover(await devices.open(), { ...options, onLine, reload: devices.open }),
        whole,
      );
      assert.equal(devices.opened.length, 2);
      devices.dispose();
    }
  });

  it('is the undisturbed one after any faults at any lines, gone on with from the tokens of its lines', async () => {
    const fault = fc.record({ what: fc.constantFrom(...FAULTS), line: fc.integer({ min: 1, max: LINES }) });
    const check = async (faults: readonly { readonly what: Fault; readonly line: number }[]) => {
      const devices = new Devices();
      let model = await devices.open();
      let known: readonly Uint32Array[] = [];
      const left = [...faults];
      for (;;) {
        const controller = new AbortController();
        const onLine = async ({ line, tokens, preview }: LineProgress) => {
          const now = left.findIndex((one) => one.line === line);
          const [{ what } = { what: undefined }] = now < 0 ? [] : left.splice(now, 1);
          if (what?.startsWith('lost') && what !== 'lost in the line') devices.last.failing.lose();
          if (what === 'lost in a preview') await preview();
          if (what === 'abort') controller.abort('enough');
          if (what === 'throw') throw new Error('not mine');
          const read = await tokens();
          if (read[0]!.length > (known[0]?.length ?? 0)) known = read;
          if (what === 'lost in the line') setImmediate(() => devices.last.failing.lose());
          if (what === 'memory') {
            devices.last.failing.failNext(0, 'out-of-memory'); // of the next run, on the same device
            throw new Error('not mine');
          }
        };
        const reload = async () => {
          model = await devices.open();
          return model;
        };
        const { signal } = controller;
        try {
          const images = await generateAndRecover(model, { ...OPTIONS, tokens: known, signal, onLine, reload });
          assert.deepEqual(images, undisturbed);
          break;
        } catch (error) {
          if (error instanceof assert.AssertionError) throw error;
          if (error instanceof OutOfMemoryError) devices.last.failing.heal();
          else assert.ok(error === 'enough' || (error as Error).message === 'not mine', String(error));
        }
      }
      devices.dispose();
    };
    await fc.assert(fc.asyncProperty(fc.array(fault, { minLength: 1, maxLength: 2 }), check), { numRuns: 4 });
  });

  it('ends when three devices are lost at the same line, and at once for what is no loss', async () => {
    const devices = new Devices();
    const open = async () => {
      const model = await devices.open();
      devices.last.failing.lose();
      return model;
    };
    const run = generateAndRecover(await open(), { ...OPTIONS, reload: open });
    await assert.rejects(run, (error) => error instanceof DeviceError && /lost it/.test(error.message));
    assert.equal(devices.opened.length, 3);

    const model = await devices.open();
    devices.last.failing.failNext(0, 'throws');
    const refused = generateAndRecover(model, { ...OPTIONS, reload: () => assert.fail('reloaded') });
    await assert.rejects(refused, OutOfMemoryError);
    devices.last.failing.heal();
    devices.dispose();
  });
});

describe('a journal', () => {
  const journal: Journal = {
    ...{
      version: '0.1.0',
      model: 'emoji',
      prompt: { classes: [1, 2, 3] },
      sampling: { seed: 4 },
      cache: {},
      loaded: {},
    },
    ...{
      driver: 'lavapipe',
      out: 'out.png',
      done: 1,
      tokens: [
        [1, 2],
        [3, 4],
      ],
    },
  };

  it('comes back as it was', () => {
    assert.deepEqual(parseJournal('run.json', JSON.stringify(journal)), journal);
  });

  it('is refused with a FormatError where it was cut or a part is missing or wrong', () => {
    const text = JSON.stringify(journal);
    const damaged = [
      text.slice(0, -1),
      '',
      '[]',
      'null',
      ...Object.keys(journal).map((key) => JSON.stringify({ ...journal, [key]: undefined })),
      JSON.stringify({ ...journal, tokens: [[1, -2]] }),
      JSON.stringify({ ...journal, tokens: [1] }),
      JSON.stringify({ ...journal, done: -1 }),
    ];
    for (const one of damaged)
      assert.throws(
        () => parseJournal('run.json', one),
        (error) => error instanceof FormatError && /^run\.json: expected/.test(error.message),
        one,
      );
  });
});
