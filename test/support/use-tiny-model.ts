import type { ImageModel } from '../../src/models/image-model.ts';
import type { LlamaGenPrompt } from '../../src/models/llamagen/condition.ts';
import { testRuntime } from './runtime.ts';
import { tinyModel } from './tiny-model.ts';

/** Gives `use` the tiny model before the tests of a `describe`, and disposes of it after them. */
export function useTinyModel(use: (model: ImageModel<LlamaGenPrompt>) => void): void {
  let model: ImageModel<LlamaGenPrompt>;
  before(async () => {
    model = await tinyModel(await testRuntime());
    use(model);
  });
  after(() => model.dispose());
}
