import assert from 'node:assert/strict';
import { type CacheOptions, planCache } from '../src/cache/policy.ts';
import { type GenerateOptions, generate } from '../src/generate.ts';
import type { GeneratedImage } from '../src/generated-image.ts';
import type { ImageModel } from '../src/models/image-model.ts';
import type { LlamaGenPrompt } from '../src/models/llamagen/condition.ts';
import type { Counters } from '../src/tensor/counters.ts';
import { DeviceError, DisposedError, OptionError } from '../src/tensor/errors.ts';
import { Runtime } from '../src/tensor/runtime.ts';
import { openGolden } from './support/golden.ts';
import { tinyModel } from './support/tiny-model.ts';
import { useTinyModel } from './support/use-tiny-model.ts';

const GREEDY = { temperature: 0, topK: 0 } as const;

describe('generate', () => {
  let runtime: Runtime;
  let model: ImageModel<LlamaGenPrompt>;
  useTinyModel((opened) => {
    model = opened;
    runtime = opened.runtime;
  });

  const draw = async (
    options: Omit<GenerateOptions<LlamaGenPrompt>, 'prompt'> & { readonly classes?: readonly number[] } = {},
  ): Promise<GeneratedImage[]> => {
    const { classes = [3], ...rest } = options;
    return await generate(model, { prompt: { classes }, ...rest });
  };
  const tokens = (images: readonly GeneratedImage[]) => images.map((image) => [...image.tokens]);

  it('draws the tokens of the reference, with guidance, without, and with an interval', async () => {
    const golden = await openGolden('llamagen-c2i');
    const classes = Array.from(await golden.values('class_ids'));
    const cases = [
      ['greedy_tokens_cfg1', { guidanceScale: 1 }],
      ['greedy_tokens_cfg2', { guidanceScale: 2 }],
      ['greedy_tokens_cfg2_interval', { guidanceScale: 2, cfgInterval: 21 }],
    ] as const;
    for (const [name, options] of cases) {
      const images = await draw({ classes, ...GREEDY, ...options });
      assert.deepEqual(tokens(images).flat(), Array.from(await golden.values(name)), name);
    }
    await golden.close();
  });

  it('makes nothing in the loop and reads but a flag a line, with one pass and one submit a token', async () => {
    const seen: (Counters & { readonly live: number })[] = [];
    const cache: CacheOptions = { policy: 'line-ar', budgetLines: 4 };
    await draw({ cache, onLine: () => void seen.push({ ...runtime.counters, live: runtime.liveBytes }) });
    const [first, last] = [seen[0]!, seen.at(-1)!];
    const steps = 7 * 8;
    for (const name of ['buffers', 'bindGroups', 'pipelines', 'live'] as const)
      assert.equal(last[name], first[name], name);
    assert.equal(last.maps - first.maps, 7);
    assert.equal(last.submits - first.submits, steps);
    assert.equal(last.passes - first.passes, steps);
    const perLine = 3 * model.geometry.layers; // line end: score, choose and settle, where it evicts
    assert.ok(last.dispatches - first.dispatches <= steps * (5 * model.geometry.layers + 3) + 7 * perLine);
  });

  it('gives an image the same tokens alone and in a batch', async () => {
    const batch = await draw({ classes: [1, 4, 7], seed: 9 });
    const alone = await draw({ classes: [7], seed: 9, firstImage: 2 });
    assert.deepEqual(tokens(alone)[0], tokens(batch)[2]);
    assert.deepEqual(alone[0]!.pixels, batch[2]!.pixels);
  });

  it('draws images of several runs in one, each by its own seed and identity', async () => {
    const together = await draw({ classes: [7, 4, 1], seed: [9, 2 ** 40, 9], firstImage: [2, 0, 5] });
    const alone = [
      await draw({ classes: [7], seed: 9, firstImage: 2 }),
      await draw({ classes: [4], seed: 2 ** 40 }),
      await draw({ classes: [1], seed: 9, firstImage: 5 }),
    ];
    assert.deepEqual(together, alone.flat());
    const before = runtime.liveBytes;
    await assert.rejects(
      draw({ classes: [1, 2], seed: [1] }),
      /^OptionError: seed: expected one number, or one of each/,
    );
    assert.equal(runtime.liveBytes, before);
  });

  it('repeats itself for a seed, and differs for another', async () => {
    assert.deepEqual(tokens(await draw({ seed: 5 })), tokens(await draw({ seed: 5 })));
    assert.notDeepEqual(tokens(await draw({ seed: 5 })), tokens(await draw({ seed: 6 })));
  });

  it('draws the very same tokens when the budget holds every line', async () => {
    const full = tokens(await draw({ seed: 2 }));
    assert.deepEqual(tokens(await draw({ seed: 2, cache: { policy: 'line-ar', budgetLines: 8 } })), full);
    assert.deepEqual(tokens(await draw({ seed: 2, cache: { policy: 'streaming', budgetLines: 9 } })), full);
    assert.notDeepEqual(tokens(await draw({ seed: 2, cache: { budgetLines: 3 } })), full);
    assert.notDeepEqual(tokens(await draw({ seed: 2, cache: { policy: 'streaming', budgetLines: 3 } })), full);
  });

  it('reports every line, with the tokens so far', async () => {
    const lines: number[] = [];
    const parts: Uint32Array[][] = [];
    const images = await draw({
      classes: [1, 2],
      onLine: async ({ line, tokens: read }) => {
        lines.push(line);
        parts.push(await read());
      },
    });
    assert.deepEqual(lines, [1, 2, 3, 4, 5, 6, 7, 8]);
    for (const [i, part] of parts.entries()) {
      assert.deepEqual(
        part.map((image) => [...image]),
        images.map((image) => [...image.tokens.slice(0, 8 * (i + 1))]),
      );
    }
  });

  it('stops when aborted at the end of a line, throws the reason and frees everything', async () => {
    const before = runtime.liveBytes;
    const controller = new AbortController();
    const reason = new Error('enough');
    let lines = 0;
    const run = draw({
      signal: controller.signal,
      onLine: () => {
        if (++lines === 2) controller.abort(reason);
      },
    });
    await assert.rejects(run, reason);
    assert.equal(lines, 2);
    assert.equal(runtime.liveBytes, before);
  });

  it('ends at once when aborted while a line is drawn, or while onLine never settles, and frees everything', async () => {
    const before = runtime.liveBytes;
    const reason = new Error('enough');
    for (const wait of [() => Promise.resolve(), () => new Promise<void>(() => {})]) {
      const controller = new AbortController();
      let lines = 0;
      const onLine = () => {
        lines++;
        setImmediate(() => controller.abort(reason));
        return wait();
      };
      await assert.rejects(draw({ signal: controller.signal, onLine }), reason);
      assert.ok(lines < 8, `${lines} lines`);
      assert.equal(runtime.liveBytes, before);
    }
    await draw();
  });

  it('returns all memory, and 50 images in a row do not grow', async () => {
    const before = runtime.liveBytes;
    const ten = Array.from({ length: 10 }, (_, i) => i);
    const options = { classes: ten, guidanceScale: 1, cache: { budgetLines: 3 } };
    await draw(options);
    const peak = runtime.peakBytes;
    for (const seed of [1, 2, 3, 4]) await draw({ ...options, seed });
    assert.equal(runtime.liveBytes, before);
    assert.equal(runtime.peakBytes, peak);
  });

  it('refuses bad options before it allocates, by name', async () => {
    const wrong: readonly (readonly [Parameters<typeof draw>[0], RegExp])[] = [
      [{ classes: [10] }, /classes\[0\]: expected a whole number from 0 to 9, got 10/],
      [{ classes: [] }, /prompt: expected/],
      [{ temperature: -1 }, /temperature: expected/],
      [{ cache: { policy: 'line-ar', budgetLines: 2 } }, /cache\.budgetLines: expected at least 3/],
      [
        { cache: { policy: 'none' as never } },
        /cache\.policy: expected one of full, summary, line-ar, streaming, h2o, snapkv, r-kv, random, got none/,
      ],
    ];
    const before = runtime.counters.buffers;
    for (const [options, text] of wrong) {
      await assert.rejects(draw(options), (error) => error instanceof OptionError && text.test(error.message));
    }
    assert.equal(runtime.counters.buffers, before);
  });

  it('works on a device of the caller, and leaves it open', async () => {
    using theirs = await Runtime.open({ driver: 'swiftshader' });
    const mine = await Runtime.open({ device: theirs.device });
    const small = await tinyModel(mine);
    const images = await generate(small, { prompt: { classes: [3] }, ...GREEDY, guidanceScale: 2 });
    small.dispose();
    mine.dispose();
    assert.deepEqual(tokens(images), tokens(await draw({ ...GREEDY, guidanceScale: 2 })));
    await theirs.settled();
  });

  it('throws DeviceError when the device is lost on the way, DisposedError once it was closed', async () => {
    const doomed = await Runtime.open({ driver: 'swiftshader' });
    const small = await tinyModel(doomed);
    const run = generate(small, {
      prompt: { classes: [3] },
      onLine: ({ line }) => void (line === 2 && doomed.device.destroy()),
    });
    await assert.rejects(run, (error) => error instanceof DeviceError && /lost/.test(error.message));
    doomed.dispose();
    await assert.rejects(generate(small, { prompt: { classes: [3] } }), DisposedError);
  });

  it('allocates keys and values for exactly budgetLines / lines of the image', async () => {
    const { KvStore } = await import('../src/cache/kv-store.ts');
    const shape = {
      ...model.geometry,
      ...model.grid({ classes: [3] }),
      condition: 0,
      images: 1,
      leftPadding: [0, 0],
      positionOffsets: [0, 0],
      dtype: 'f16' as const,
    };
    using all = await KvStore.open(runtime, shape, planCache({}, model.grid({ classes: [3] })));
    const before = runtime.liveBytes;
    using some = await KvStore.open(runtime, shape, planCache({ budgetLines: 5 }, model.grid({ classes: [3] })));
    assert.equal(some.bytes / all.bytes, 5 / 8);
    const { layers, kvHeads } = model.geometry;
    const slotWords = layers * 2 * kvHeads * some.slots * 2; // positions and scores
    assert.equal(runtime.liveBytes - before, some.bytes + 4 * slotWords + 64 + 16 + some.scratchBytes);
  });
});
