/** `npm run bench [-- kernels|store|decode|encode ...]`: all groups, or those named. RASTERLINE_DRIVER chooses the driver. */

import { Runtime } from '../src/tensor/runtime.ts';
import { decodeRows, encodeRows } from './decode.ts';
import { kernelRows, storeRows } from './kernels.ts';
import { conditions, report, save } from './support.ts';

const GROUPS: Readonly<Record<string, (runtime: Runtime) => Promise<readonly object[]>>> = {
  kernels: kernelRows,
  store: storeRows,
  decode: decodeRows,
  encode: encodeRows,
};

const asked = process.argv.slice(2);
const unknown = asked.find((name) => !Object.hasOwn(GROUPS, name));
if (unknown !== undefined) throw new Error(`bench: expected some of ${Object.keys(GROUPS).join(', ')}, got ${unknown}`);
const runtime = await Runtime.open();
const about = conditions(runtime);
report('conditions', [about]);
const results: Record<string, unknown> = { conditions: about };
for (const name of asked.length > 0 ? asked : Object.keys(GROUPS)) {
  const rows = await GROUPS[name]!(runtime);
  report(name, rows);
  results[name] = rows;
}
console.log(`\n${save(runtime.kind, results)}`);
runtime.dispose();
