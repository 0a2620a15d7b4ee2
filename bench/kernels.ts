/** The kernels at LlamaGen-XL's sizes: width 1280, 20 heads of 64, MLP 3584, vocabulary 16384. */

import { KvStore } from '../src/cache/kv-store.ts';
import { planCache } from '../src/cache/policy.ts';
import { attention } from '../src/kernels/attention/image.ts';
import { asImage, whole } from '../src/kernels/bands.ts';
import { conv } from '../src/kernels/conv/conv.ts';
import { allocateConv } from '../src/kernels/conv/weight.ts';
import { allocateTable, embedding } from '../src/kernels/embedding.ts';
import { groupNorm } from '../src/kernels/group-norm.ts';
import { linear } from '../src/kernels/linear/linear.ts';
import { allocateLinear, blockBytes, LANES } from '../src/kernels/linear/weight.ts';
import { Sampler } from '../src/sampler.ts';
import type { Program } from '../src/tensor/program.ts';
import type { Runtime } from '../src/tensor/runtime.ts';
import { median, type Row, round, time, timeEach } from './support.ts';

const SAMPLING = { guidanceScale: 4, cfgInterval: -1, temperature: 1, topK: 2000, topP: 1, seed: 0, firstImage: 0 };

export async function kernelRows(runtime: Runtime): Promise<Row[]> {
  const rows: Row[] = [];
  const values = (count: number) => Float32Array.from({ length: count }, (_, i) => ((i * 2654435761) % 1000) / 500 - 1);
  for (const [inputs, outputs, batch] of [
    [1280, 3840, 2],
    [1280, 16384, 2],
    [1280, 3840, 16],
    [1280, 3840, 64],
  ] as const) {
    for (const dtype of ['f16', 'f32', 'int8', 'int4'] as const) {
      const weight = allocateLinear(runtime, { label: 'w', inputs, outputs, dtype });
      using x = runtime.tensor([batch, inputs], 'f32', 'x', values(batch * inputs));
      using program = await runtime.record('linear', () => linear(x, weight, { normEpsilon: 1e-5 }));
      const bytes = Math.ceil(outputs / LANES) * blockBytes(inputs, dtype);
      rows.push(
        await time(runtime, `linear ${outputs} x ${inputs}, ${batch} rows, ${dtype}`, [program], {
          bytes,
          flops: 2 * batch * inputs * outputs,
        }),
      );
      weight.dispose();
    }
  }
  {
    const table = allocateTable(runtime, { label: 'table', count: 16384, width: 1280, dtype: 'f16' });
    using ids = runtime.tensor([2], 'u32', 'ids');
    using program = await runtime.record('embedding', () => embedding(ids, table));
    rows.push(await time(runtime, 'embedding, 2 rows', [program]));
    table.dispose();
  }
  {
    using logits = runtime.tensor([2, 16384], 'f32', 'logits', values(2 * 16384));
    const range = { first: 0, count: 16384, lines: 64, lineLength: 64 };
    using sampler = Sampler.open(runtime, 1, { range, sampling: SAMPLING });
    using program = await runtime.record('sample', () => sampler.next(logits));
    rows.push(await time(runtime, 'sample, V 16384, guidance, top-k 2000', [program]));
  }
  {
    using x = runtime.tensor([64, 64, 128], 'f32', 'x', values(64 * 64 * 128));
    const weight = allocateConv(runtime, {
      label: 'conv',
      inputs: 128,
      outputs: 128,
      dtype: 'f16',
      bias: runtime.tensor([128], 'f32', 'bias'),
    });
    for (const upsample of [false, true]) {
      const flops = 2 * 64 * 64 * 128 * 128 * 9 * (upsample ? 4 : 1);
      const name = `conv 3x3, 64 x 64 x 128${upsample ? ' doubled' : ''}`;
      rows.push(...(await timeEach(runtime, name, () => conv(asImage(x), weight, { upsample }).bands, { flops })));
    }
    using gain = runtime.tensor([128], 'f32', 'gain');
    using bias = runtime.tensor([128], 'f32', 'bias');
    using norm = await runtime.record('norm', () =>
      whole(groupNorm(asImage(x), { gain, bias, groups: 32, epsilon: 1e-6 }, { swish: true })),
    );
    rows.push(await time(runtime, 'group norm and swish, 64 x 64 x 128', [norm], { bytes: 3 * 4 * 64 * 64 * 128 }));
    weight.matrix.dispose();
  }
  {
    using qkv = runtime.tensor([576, 3 * 512], 'f32', 'qkv', values(576 * 3 * 512));
    using program = await runtime.record('attention', () => attention(qkv, 'attention'));
    rows.push(
      await time(runtime, 'full attention, 576 positions, 512 channels', [program], { flops: 4 * 576 * 576 * 512 }),
    );
  }
  return rows;
}

/** One layer's attention at the last token of the image, full against LineAR, and what a line end costs. */
export async function storeRows(runtime: Runtime): Promise<Row[]> {
  const rows: Row[] = [];
  const [heads, headDim, lines] = [20, 64, 24];
  for (const images of [1, 8]) {
    for (const budgetLines of [24, 6, 4, 3])
      for (const kvDtype of ['f16', 'int8'] as const) {
        const count = 2 * images;
        const zeros = Array.from({ length: count }, () => 0);
        const shape = {
          layers: 1,
          heads,
          kvHeads: heads,
          headDim,
          lines,
          lineLength: lines,
          condition: 1,
          images,
          leftPadding: zeros,
          positionOffsets: zeros,
          dtype: 'f16' as const,
        };
        using store = await KvStore.open(
          runtime,
          shape,
          planCache({ policy: 'line-ar', budgetLines, kvDtype }, { lines, lineLength: lines }),
        );
        using angles = runtime.tensor([1 + lines * lines, headDim / 2, 2], 'f32', 'angles');
        using qkv = runtime.tensor([count, 3 * heads * headDim], 'f32', 'qkv');
        using step = await runtime.record('attend', () =>
          store.decode.attend(0, qkv, { angles, pairing: 'interleaved' }),
        );
        const name = `${images} images, ${budgetLines} of 24 lines, ${kvDtype}`;
        const ends = await timeLineEnds(runtime, store, step, lines);
        rows.push(await time(runtime, `attend, ${name}`, [step], { bytes: store.bytes }));
        if (ends.length > 0)
          rows.push({ name: `line end, ${name}`, medianMs: round(median(ends)), samples: ends.length });
      }
  }
  return rows;
}

/** Feeds all but the last token. An end that is run again would find tokens twice, so each is run once. */
async function timeLineEnds(runtime: Runtime, store: KvStore, step: Program, lines: number): Promise<number[]> {
  const times: number[] = [];
  for (let token = 0; token < lines * lines - 1; token++) {
    const ends = store.advance();
    if (ends.length > 0) {
      await runtime.settled();
      const beganMs = performance.now();
      runtime.run(...ends);
      await runtime.settled();
      times.push(performance.now() - beganMs);
    }
    if (store.plan.budgetLines < lines) runtime.run(step);
  }
  return times.slice(1); // the first compiles
}
