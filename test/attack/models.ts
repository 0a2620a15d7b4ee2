/** Whole runs of models whose files can be read and are wrong: weights of other values, dtypes, shapes and names, and configurations. */

import { generate } from '../../src/generate.ts';
import { chameleon } from '../../src/models/chameleon/family.ts';
import { janus } from '../../src/models/janus/family.ts';
import { openModel } from '../../src/models/open-model.ts';
import { type FamilyModel, modelDefinition } from '../../src/models/registry.ts';
import { storedShapes } from '../../src/models/weights/stored-shapes.ts';
import { type PlanOptions, plan } from '../../src/plan.ts';
import { openCheckpoint } from '../../src/tensor/checkpoint/checkpoint.ts';
import { STORED_BYTES, type StoredDtype } from '../../src/tensor/checkpoint/stored-tensor.ts';
import type { Driver } from '../../src/tensor/device/adapter.ts';
import { Runtime } from '../../src/tensor/runtime.ts';
import { bytesSource } from '../../src/tensor/source/bytes.ts';
import { madeFamily } from '../support/made-family.ts';
import { randomValues } from '../support/random.ts';
import type { Attack, Case, Chance } from './attack.ts';

interface Stored {
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array<ArrayBuffer>;
}

type Tensors = Record<string, Stored>;

const DEFINITION = madeFamily.presets['made-tiny']('made-tiny');
const PARTS = ['checkpoint', 'vq'] as const;
const DTYPES = ['f32', 'f16', 'int8', 'int4'] as const;
const COUNT = DEFINITION.imageTokens.first + DEFINITION.imageTokens.count;

const VALUES = [Number.NaN, Number.POSITIVE_INFINITY, -65504, 65520, 1e5, -1e38, 3e38, 1e-45, 0];
const FILE_DTYPES = { f64: 'F64', f32: 'F32', f16: 'F16', bf16: 'BF16', i64: 'I64', u8: 'U8', bool: 'BOOL' } as const;

/** One tensor made wrong. */
const DAMAGES: Readonly<Record<string, (tensors: Tensors, name: string, chance: Chance) => void>> = {
  values(tensors, name, { below, pick }) {
    const { shape, bytes } = tensors[name]!;
    const values = new Float32Array(bytes.slice().buffer);
    for (let i = pick([1, 1, 5, values.length]); i > 0; i--) values[below(values.length)] = pick(VALUES);
    tensors[name] = { dtype: 'f32', shape, bytes: new Uint8Array(values.buffer) };
  },
  dtype(tensors, name, { below, pick }) {
    const { shape } = tensors[name]!;
    const dtype = pick(Object.keys(FILE_DTYPES) as (keyof typeof FILE_DTYPES)[]);
    const bytes = new Uint8Array(STORED_BYTES[dtype] * size(shape)).map(() => below(256));
    tensors[name] = { dtype, shape, bytes };
  },
  shape(tensors, name, { below, pick }) {
    const { shape } = tensors[name]!;
    const changed = pick([
      [...shape].reverse(),
      [1, ...shape],
      [...shape, 1],
      [size(shape)],
      shape.map((n, i) => (i === 0 ? n + 1 + below(3) : n)),
      shape.map((n, i) => (i === shape.length - 1 ? Math.max(0, n - 1) : n)),
      shape.map(() => 0),
      [],
    ]);
    tensors[name] = { dtype: 'f32', shape: changed, bytes: new Uint8Array(4 * size(changed)) };
  },
  missing: (tensors, name) => void delete tensors[name],
  renamed(tensors, name, { pick }) {
    const as = pick([`module.${name}`, `_orig_mod.${name}`, `${name}.weight`, '__proto__', '', 'x'.repeat(300)]);
    Object.defineProperty(tensors, as, { value: tensors[name], enumerable: true, configurable: true, writable: true });
    delete tensors[name];
  },
  more: (tensors, name) => {
    tensors[`${name}2`] = tensors[name]!;
  },
};

/** The text of a config.json, one of its values wrong. */
const CONFIGS: Readonly<Record<string, { readonly json: object; read(json: object): object }>> = {
  janus: {
    json: {
      ...{ model_type: 'janus', vision_config: { image_size: 64 } },
      text_config: { hidden_size: 48, num_hidden_layers: 2, num_attention_heads: 3, head_dim: 16, vocab_size: 90 },
      vq_config: { num_embeddings: 96, base_channels: 32, channel_multiplier: [1, 2], num_res_blocks: 1 },
    },
    read: janus.fromTransformers as (json: object) => object,
  },
  chameleon: {
    json: {
      ...{ model_type: 'chameleon', num_hidden_layers: 1, hidden_size: 64, vocab_size: 99 },
      vocabulary_map: { '<racm3:break>': 53, '<reserved08801>': 64, '<reserved08799>': 62, IMGIMGAZ: 5 },
    },
    read: chameleon.fromTransformers as (json: object) => object,
  },
  llamagen: { json: { layers: 2, heads: 2, width: 64, side: 4, vocabulary: 64 }, read: (json) => json },
};

const ODD = [0, -1, 1.5, 1e9, 2 ** 53, Number.NaN, '2', null, [], {}, [1, 2], true, 'x'.repeat(200), [1e9, -1]];

export async function modelsAttack(driver: Driver): Promise<Attack> {
  const runtime = await Runtime.open({ driver });
  const sound = await drawn(runtime, soundTensors(), 'f32', {});
  for (const dtype of DTYPES) await drawn(runtime, soundTensors(), dtype, {}); // compiled before any case is timed
  return {
    name: 'models',
    async run(chance) {
      return chance.below(3) === 0 ? configCase(chance) : weightsCase(runtime, sound, chance);
    },
    close: async () => runtime.dispose(),
  };
}

/** Loads and draws; whatever comes of it, nothing is left, and a sound model draws on as it did. */
function weightsCase(runtime: Runtime, sound: string, chance: Chance): Case {
  const { below, pick } = chance;
  const tensors = soundTensors();
  const damages: string[] = [];
  for (let i = 1 + below(2); i > 0; i--) {
    const part = pick(PARTS);
    const name = pick(Object.keys(tensors[part]));
    const damage = pick(Object.keys(DAMAGES));
    // values are changed where there are f32 values to change
    if (damage !== 'values' || tensors[part][name]?.dtype === 'f32') DAMAGES[damage]!(tensors[part], name, chance);
    damages.push(`${damage} of ${name}`);
  }
  const dtype = pick(DTYPES);
  const sampling = { temperature: pick([0, 1, 1000]), topK: pick([0, 3]), topP: pick([1, 0.5]) };
  const end = async () => {
    const before = runtime.liveBytes;
    const refused = await drawn(runtime, tensors, dtype, sampling).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (runtime.liveBytes !== before)
      throw new Error(`${runtime.liveBytes - before} bytes are left`, { cause: refused });
    const again = below(4) === 0 ? await drawn(runtime, soundTensors(), 'f32', {}) : sound;
    if (again !== sound) throw new Error('a sound model draws otherwise after it', { cause: refused });
    if (refused !== undefined) throw refused;
  };
  // compilers of shaders take theirs
  return { what: `${damages.join(', ')} as ${dtype}`, bytes: 2 ** 28, end };
}

function configCase({ below, pick }: Chance): Case {
  const name = pick(Object.keys(CONFIGS)) as FamilyModel['family'];
  const { json, read } = CONFIGS[name]!;
  const config: object = structuredClone(json);
  const inner = pick([config, ...Object.values(config).filter((value) => typeof value === 'object')]);
  const key = pick(Object.keys(inner));
  const value = pick(ODD);
  Reflect.set(inner, below(8) === 0 ? `${key}s` : key, value);
  const options: PlanOptions = { batch: 1 + below(3), cache: pick([{}, { budgetLines: 3 }]) };
  const end = async () => {
    const model = { family: name, config: read(config) } as FamilyModel;
    for (const { weights } of Object.values(modelDefinition(model).parts)) storedShapes(weights);
    await plan(model, options);
  };
  return { what: `${name}: ${key} = ${JSON.stringify(value)?.slice(0, 60)}`, end };
}

/** The tokens drawn. */
async function drawn(
  runtime: Runtime,
  tensors: Readonly<Record<(typeof PARTS)[number], Tensors>>,
  dtype: (typeof DTYPES)[number],
  sampling: object,
): Promise<string> {
  const checkpoint = await openCheckpoint(bytesSource('model', file(tensors.checkpoint)));
  const vq = await openCheckpoint(bytesSource('vq', file(tensors.vq)));
  using model = await openModel(runtime, DEFINITION, { checkpoints: { checkpoint, vq }, dtype });
  const images = await generate(model, { prompt: { colors: [1] }, cache: { budgetLines: 3 }, ...sampling });
  if (runtime.kind === 'null') return 'nothing is computed';
  const tokens = images.flatMap((image) => [...image.tokens]);
  if (tokens.some((id) => id < DEFINITION.imageTokens.first || id >= COUNT)) throw new Error(`drew ${tokens}`);
  return `${tokens}`;
}

function soundTensors(): Record<(typeof PARTS)[number], Tensors> {
  const of = (part: (typeof PARTS)[number]) =>
    Object.fromEntries(
      [...storedShapes(DEFINITION.parts[part]?.weights)].map(([name, shape], i): [string, Stored] => {
        const values = randomValues(part.length + i, size(shape));
        return [name, { dtype: 'f32', shape, bytes: new Uint8Array(values.buffer) }];
      }),
    );
  return { checkpoint: of('checkpoint'), vq: of('vq') };
}

/** As safetensors. */
function file(tensors: Tensors): Uint8Array<ArrayBuffer> {
  let at = 0;
  const entries = Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => {
    const begin = at;
    at += bytes.length;
    const written = FILE_DTYPES[dtype as keyof typeof FILE_DTYPES];
    return `${JSON.stringify(name)}:${JSON.stringify({ dtype: written, shape, data_offsets: [begin, at] })}`;
  });
  const header = new TextEncoder().encode(`{${entries.join()}}`);
  const all = new Uint8Array(8 + header.length + at);
  new DataView(all.buffer).setBigUint64(0, BigInt(header.length), true);
  all.set(header, 8);
  at = 8 + header.length;
  for (const { bytes } of Object.values(tensors)) {
    all.set(bytes, at);
    at += bytes.length;
  }
  return all;
}

function size(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}
