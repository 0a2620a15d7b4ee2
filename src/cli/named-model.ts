import { checkModel, type FamilyModel } from '../models/registry.ts';
import { parseJson } from '../tensor/source/json.ts';
import { readWhole } from './read-whole.ts';

/** Of a flag `--model`: a preset, or a `.json` file of what `loadModel` takes in its place. Throws as `checkModel`. */
export async function namedModel(model: string): Promise<string | FamilyModel> {
  if (!model.endsWith('.json')) return model;
  return checkModel(parseJson(model, await readWhole(model, 'configBytes'), 'a family and its config'));
}
