import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FilesOptions, openFiles } from '../../../src/tensor/checkpoint/open-files.ts';
import { Weights } from '../../../src/tensor/checkpoint/weights.ts';
import { type HubServer, serveHub } from '../../support/hub-server.ts';
import { safetensors } from '../../support/safetensors-file.ts';
import { write, writeTorch } from '../checkpoint/torch/torch-writer.ts';

const MIB = 2 ** 20;
const SLICE_BYTES = 8 * MIB;
/** Of a matrix of 20 MiB: rows of 5 KiB, so that no slice is a round number of them. */
const [ROWS, WIDTH] = [4096, 1280];
const MATRIX = Float32Array.from({ length: ROWS * WIDTH }, (_, i) => i % 8191);

const FORMATS: Readonly<Record<string, ReadonlyMap<string, Uint8Array>>> = {
  safetensors: new Map([
    ['model.safetensors.index.json', index('one.safetensors')],
    ['one.safetensors', safetensors({ matrix: MATRIX })],
  ]),
  torch: new Map([
    ['pytorch_model.bin.index.json', index('one.bin')],
    ['one.bin', torch()],
  ]),
};

describe('a checkpoint on a server', () => {
  for (const [format, files] of Object.entries(FORMATS)) {
    for (const way of ['cached', 'streamed']) {
      it(`of ${format}, ${way}, is asked for once, and in slices of at most 8 MiB`, async () => {
        const folder = await mkdtemp(join(tmpdir(), 'rasterline-memory-'));
        const server = await serveHub(files);
        const options: FilesOptions = { endpoint: server.url, cache: way === 'cached' && folder };

        const { checkpoint } = await openFiles('hf:owner/tiny', options);
        const atOpening = bytesAsked(server);
        const weights = new Weights(checkpoint);
        let row = 0;
        for await (const { values } of weights.rows('matrix', [ROWS, WIDTH], { shape: [ROWS * WIDTH] })) {
          assert.ok(values.byteLength <= SLICE_BYTES);
          assert.deepEqual(values, MATRIX.subarray(row * WIDTH, row * WIDTH + values.length));
          row += values.length / WIDTH;
        }
        await checkpoint.close();

        assert.equal(row, ROWS);
        assert.ok(Math.max(...ranges(server)) <= SLICE_BYTES);
        // the end of a zip, its directory and its pickle; the rest of the file is read once
        if (way === 'streamed') assert.ok(atOpening < 0.2 * MIB, `${atOpening}`);
        assert.ok(bytesAsked(server) < MATRIX.byteLength + 0.2 * MIB);
        await server.close();
        await rm(folder, { recursive: true });
      });
    }
  }
});

/** Bytes of every request for a part of a file. */
function ranges({ log }: HubServer): readonly number[] {
  return log
    .filter(({ host }) => host === 'cdn')
    .map(({ range, path }) => {
      const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
      assert.ok(first && last, `${path}: expected a range, got ${range}`);
      return Number(last) - Number(first) + 1;
    });
}

function bytesAsked(server: HubServer): number {
  return ranges(server).reduce((sum, bytes) => sum + bytes, 0);
}

function index(file: string): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ weight_map: { matrix: file } }));
}

function torch(): Uint8Array {
  const { length } = MATRIX;
  const tensor = write.tensor(write.storage('0', length), { shape: [length], strides: [1] });
  return writeTorch(write.pickle(write.dict(write.text('matrix'), tensor)), { 0: new Uint8Array(MATRIX.buffer) });
}
