import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode } from 'fast-png';
import { decode as decodeGif } from 'modern-gif';
import { FATES, type Retention } from '../../src/cache/retention.ts';
import { asJson, asTable, type Measured, openOutputs } from '../../src/cli/compare-outputs.ts';
import { optionalPackages } from '../../src/cli/optional-packages.ts';
import { openRetention } from '../../src/cli/retention-files.ts';
import { retentionMap } from '../../src/cli/retention-map.ts';
import { GeneratedImage } from '../../src/generated-image.ts';
import { OptionError } from '../../src/tensor/errors.ts';

const image = new GeneratedImage({ width: 2, height: 2, pixels: new Uint8Array(12), tokens: new Uint32Array(4) });
const run = { images: [image], msPerToken: 4.25, evictionShare: 0, bitsPerToken: 2.5 };
const setting = (policy: 'line-ar' | 'summary', budgetLines: number, divergence: number, kvDtype?: 'int8') => ({
  ...{
    ...run,
    cache: { policy, budgetLines, ...(kvDtype && { kvDtype }) },
    kvBytes: budgetLines * 1e6,
    evictionShare: 0.0625,
  },
  ...{ divergence, byLine: [0, divergence], sameChoice: 0.875, freeAgreement: 0.5 },
});
const MEASURED: Measured = {
  lines: 16,
  full: { ...run, kvBytes: 16e6 },
  settings: [
    setting('line-ar', 3, 3.25),
    setting('line-ar', 4, 0.5),
    setting('summary', 3, 0.25, 'int8'),
    setting('summary', 16, 0),
  ],
};

/** Two layers of two heads, of 2 x 2 tokens: token 0 stays, token 1 joins a summary after a line where the head is 1. */
const retention = (fates: readonly number[]): Retention => ({
  ...{ layers: 2, rows: 2, kvHeads: 2, tokens: 4, summaries: 0, counts: new Uint32Array(), pages: [] },
  fates: Uint8Array.from({ length: 32 }, (_, i) => fates[(Math.floor(i / 4) % 2) * 4 + (i % 4)]!),
});
const { waiting, forgotten, summarized, held } = FATES;
const HISTORY = {
  lineLength: 2,
  ends: [
    retention([held, held, waiting, waiting, held, held, waiting, waiting]),
    retention([held, forgotten, held, waiting, held, summarized, held, waiting]),
  ],
};

describe('what compare writes', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rasterline-compare-'));
  });
  after(async () => {
    await rm(folder, { recursive: true });
  });

  it('is a table, JSON and CSV of the same figures, the full cache first', async () => {
    const csv = join(folder, 'table.csv');

    await (await openOutputs({ csv }))(MEASURED);

    const [header, full, first] = (await readFile(csv, 'utf8')).split('\n');
    assert.equal(
      header,
      'policy,budgetLines,window,divergence,sameChoice,bitsPerToken,freeAgreement,kvBytes,msPerToken,evictionShare',
    );
    assert.equal(full, 'full,16,,0,1,2.5,1,16000000,4.25,0');
    assert.equal(first, 'line-ar,3,,3.25,0.875,2.5,0.5,3000000,4.25,0.0625');
    assert.deepEqual(asTable(MEASURED)[2], [
      'line-ar',
      '3',
      '-',
      '3.25',
      '0.875',
      '2.500',
      '0.500',
      '3.0 MB',
      '4.3',
      '6.3 %',
    ]);
    const json = JSON.parse(asJson(MEASURED));
    assert.deepEqual(
      [json.full.bitsPerToken, json.settings[2].divergence, json.settings[0].images],
      [2.5, 0.25, undefined],
    );
  });

  it('is a chart with a curve for each policy, without what loses nothing', async () => {
    const chart = join(folder, 'chart.svg');

    await (await openOutputs({ chart }))(MEASURED);

    const svg = await readFile(chart, 'utf8');
    assert.match(svg, /^<svg/);
    for (const text of ['line-ar', 'summary-int8', 'keys and values (MB)', 'KL from the full cache (nats a token)'])
      assert.ok(svg.includes(`>${text}<`), text);
    const points = [...svg.matchAll(/aria-label="keys and values \(MB\): (\d+); KL[^"]*policy: ([\w-]+)"/g)];
    assert.deepEqual(
      new Set(points.map(([, megabytes, policy]) => `${policy} ${megabytes}`)),
      new Set(['line-ar 3', 'line-ar 4', 'summary-int8 3']),
    );
  });

  it('is a map of what is held: each head, each layer, and all; and a frame a line', async () => {
    const retention = join(folder, 'map.png');
    const animation = join(folder, 'map.gif');
    const settings = [{ policy: 'summary', budgetLines: 3 }, { budgetLines: 4 }] as const;

    const write = await openRetention({ retention, animation }, settings, 16);
    await write?.(1, HISTORY);

    const { width, height, data } = decode(await readFile(join(folder, 'map-summary-4.png')));
    assert.deepEqual({ width, height, data: Array.from(data) }, plain(retentionMap(HISTORY)));
    // squares of 2 x 2 dots of 32 pixels, 4 apart
    const at = (column: number, row: number, token: number) => {
      const x = 4 + column * 68 + (token % 2) * 32;
      const y = 4 + row * 68 + Math.floor(token / 2) * 32;
      return Array.from(data.slice(3 * (y * width + x), 3 * (y * width + x) + 3));
    };
    const [HELD, GONE, JOINED, WAITING] = [
      [16, 44, 100],
      [218, 218, 218],
      [245, 190, 120],
      [250, 250, 250],
    ] as const;
    const mean = (...colors: readonly (readonly number[])[]) =>
      [0, 1, 2].map((i) => Math.round(colors.reduce((sum, rgb) => sum + rgb[i]!, 0) / colors.length));
    assert.deepEqual([at(0, 0, 0), at(2, 2, 0), at(1, 1, 3)], [HELD, HELD, WAITING]);
    assert.deepEqual([at(1, 1, 1), at(2, 1, 1)], [mean(HELD, GONE), mean(HELD, JOINED)]);
    assert.deepEqual([at(0, 0, 1), at(0, 2, 1)], [mean(HELD, HELD, GONE, JOINED), mean(HELD, HELD, GONE, JOINED)]);
    const gif = decodeGif(await readFile(join(folder, 'map-summary-4.gif')));
    assert.deepEqual([gif.width, gif.height, gif.frames.length], [width, height, 2]);
  });

  it('is refused before anything is computed where a file is there, ends otherwise, or a package is missing', async () => {
    const there = join(folder, 'there.csv');
    await writeFile(there, 'measured before');
    const settings = [{ budgetLines: 3 }];
    const missing = 'rasterline-no-such-package';
    const wrong: readonly (readonly [() => Promise<unknown>, RegExp])[] = [
      [() => openOutputs({ csv: there }), /^csv: expected a file that is not there yet, got .*there\.csv; remove it/],
      [() => openOutputs({ sheet: join(folder, 'a.jpg') }), /^sheet: expected a file that ends in \.png/],
      [() => openOutputs({ chart: join(folder, 'a.png') }), /^chart: expected a file that ends in \.svg/],
      [() => openRetention({ retention: join(folder, 'a.gif') }, settings, 16), /^retention: .* ends in \.png/],
      [() => openRetention({ animation: join(folder, 'a.png') }, settings, 16), /^animation: .* ends in \.gif/],
      [
        () => optionalPackages('chart', [missing], () => import(missing)),
        /^chart: expected the npm packages rasterline-no-such-package, got none; npm install rasterline-no-such-package$/,
      ],
    ];
    for (const [open, message] of wrong)
      await assert.rejects(open, (error) => error instanceof OptionError && message.test(error.message), `${message}`);
    assert.equal(await readFile(there, 'utf8'), 'measured before');
  });
});

function plain({ width, height, pixels }: ReturnType<typeof retentionMap>) {
  return { width, height, data: Array.from(pixels) };
}
