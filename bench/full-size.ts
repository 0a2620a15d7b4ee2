/** A model of full size with random weights: that it loads, fits into what is planned, and draws its first lines. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from '../src/generate.ts';
import { loadModel } from '../src/models/load-model.ts';
import { modelDefinition } from '../src/models/registry.ts';
import { quantizeCheckpoint } from '../src/models/weights/quantize-checkpoint.ts';
import { storedShapes } from '../src/models/weights/stored-shapes.ts';
import { plan } from '../src/plan.ts';
import { openCheckpoint } from '../src/tensor/checkpoint/checkpoint.ts';
import type { Runtime } from '../src/tensor/runtime.ts';
import { fileSource } from '../src/tensor/source/file-node.ts';
import { writePieces } from '../src/tensor/source/write-node.ts';
import { writeSynthetic } from '../test/support/synthetic-checkpoint.ts';
import { round } from './support.ts';

const MODEL = 'janus-pro-1b';
const LINES = 2;
const PROMPT_TOKENS = 16;

/** Janus-Pro-1B's tensors in bf16 on disk (3 GB, removed again), quantized into a file, loaded from it; two lines of one image. */
export async function fullSizeRows(runtime: Runtime): Promise<object[]> {
  const folder = await mkdtemp(join(tmpdir(), 'rasterline-full-size-'));
  const [original, file] = [join(folder, 'original.safetensors'), join(folder, 'model.safetensors')];
  try {
    const { weights } = modelDefinition(MODEL).parts.checkpoint!;
    await writeSynthetic(original, storedShapes(weights));
    let quantizeMs = performance.now();
    const checkpoint = await openCheckpoint(await fileSource(original));
    await writePieces(file, async (write) => {
      await quantizeCheckpoint(checkpoint, weights, { dtype: 'int4', model: MODEL, write });
    });
    await checkpoint.close();
    quantizeMs = performance.now() - quantizeMs;
    const planned = await plan(MODEL, { dtype: 'int4', promptTokens: PROMPT_TOKENS, cache: { budgetLines: 6 } });
    const before = runtime.liveBytes;
    let [most, loadMs] = [0, performance.now()];
    let heap = 0;
    const onProgress = () => {
      heap = Math.max(heap, process.memoryUsage().arrayBuffers);
    };
    using model = await loadModel(runtime, MODEL, { checkpoint: file, onProgress });
    loadMs = performance.now() - loadMs;
    const weightBytes = runtime.liveBytes - before;
    const stop = new AbortController();
    let [drawMs, tokens] = [performance.now(), 0];
    const draw = generate(model, {
      // without guidance a tokenizer is not needed to tell the pad token
      prompt: { promptTokens: [Array.from({ length: PROMPT_TOKENS }, (_, i) => i)] },
      guidanceScale: 1,
      cache: { budgetLines: 6 },
      signal: stop.signal,
      onLine: ({ line }) => {
        most = Math.max(most, runtime.liveBytes - before);
        tokens = line * 24;
        if (line === LINES) stop.abort(new Error('enough'));
      },
    });
    await draw.catch((error: Error) => {
      if (error.message !== 'enough') throw error;
    });
    drawMs = performance.now() - drawMs;
    const alone = await plan(MODEL, {
      dtype: 'int4',
      guided: false,
      promptTokens: PROMPT_TOKENS,
      cache: { budgetLines: 6 },
    });
    const running = alone.weightBytes + alone.kvBytes + alone.slotBytes + alone.stepBytes;
    return [
      {
        model: MODEL,
        dtype: 'int4',
        'quantize s': round(quantizeMs / 1000),
        'load s': round(loadMs / 1000),
        'weights MB': round(weightBytes / 1e6),
        'planned MB': round(planned.weightBytes / 1e6),
        'CPU buffers while loading MB': round(heap / 1e6),
        'running MB': round(most / 1e6),
        'planned running MB': round(running / 1e6),
        'off by %': round(100 * (most / running - 1)),
        tokens,
        's/token': round(drawMs / 1000 / tokens),
      },
    ];
  } finally {
    await rm(folder, { recursive: true });
  }
}
