/** One device for the whole test run. */

import type { Program } from '../../src/tensor/program.ts';
import { Runtime } from '../../src/tensor/runtime.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

let opened: Promise<Runtime> | undefined;

/** The device all tests share: SwiftShader unless RASTERLINE_DRIVER says otherwise. */
export function testRuntime(): Promise<Runtime> {
  opened ??= Runtime.open({
    driver: process.env.RASTERLINE_DRIVER ? 'auto' : 'swiftshader',
    tuning: 'priors', // whatever was measured on this machine
  });
  return opened;
}

/** Records `build`, runs it once, and reads what it returns. */
export async function compute(runtime: Runtime, build: () => Tensor): Promise<Float32Array<ArrayBuffer>> {
  using program: Program<Tensor> = await runtime.record('test', build);
  program.run();
  return (await program.result.read()) as Float32Array<ArrayBuffer>;
}

after(async () => {
  (await opened)?.dispose();
});
