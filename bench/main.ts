/**
 * `npm run bench [-- kernels|store|decode|encode|full-size|vq|serve|recovery|workers|soak|soak-server ...]`: all
 * groups but the last seven, or those named.
 * RASTERLINE_DRIVER chooses the driver.
 */

import { Runtime } from '../src/tensor/runtime.ts';
import { decodeRows, encodeRows } from './decode.ts';
import { fullSizeRows } from './full-size.ts';
import { kernelRows, storeRows } from './kernels.ts';
import { measurePeaks, sharesOf } from './peak.ts';
import { recoveryRows, serveRows } from './serve.ts';
import { soakRows, soakServerRows } from './soak.ts';
import { conditions, report, save } from './support.ts';
import { vqRows } from './vq.ts';
import { workerRows } from './workers.ts';

const GROUPS: Readonly<Record<string, (runtime: Runtime) => Promise<readonly object[]>>> = {
  kernels: kernelRows,
  store: storeRows,
  decode: decodeRows,
  encode: encodeRows,
};

/** Only when named: the first writes 3 GB, the others take minutes on a CPU. */
const LARGE = {
  ...{ 'full-size': fullSizeRows, vq: vqRows, serve: serveRows, recovery: recoveryRows, workers: workerRows },
  ...{ soak: soakRows, 'soak-server': soakServerRows },
};

const asked = process.argv.slice(2);
const all = { ...GROUPS, ...LARGE };
const unknown = asked.find((name) => !Object.hasOwn(all, name));
if (unknown !== undefined) throw new Error(`bench: expected some of ${Object.keys(all).join(', ')}, got ${unknown}`);
const runtime = await Runtime.open();
const peaks = await measurePeaks(runtime);
const about = { ...conditions(runtime), ...peaks };
report('conditions', [about]);
const results: Record<string, unknown> = { conditions: about };
for (const name of asked.length > 0 ? asked : Object.keys(GROUPS)) {
  const rows = sharesOf(await all[name as keyof typeof all]!(runtime), peaks);
  report(name, rows);
  results[name] = rows;
}
console.log(`\n${save(runtime.kind, results)}`);
runtime.dispose();
