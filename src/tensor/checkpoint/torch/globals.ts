/** The names a pickled state dict may mention, and what each of them makes. Everything else is refused by its name. */

import type { FormatError } from '../../errors.ts';
import { LIMITS } from '../../limits.ts';
import type { StoredDtype } from '../stored-tensor.ts';
import {
  describeValue,
  isKind,
  NO_ENTRIES,
  type PickleGlobal,
  type PickleTuple,
  type PickleValue,
  type TorchStorage,
  type TorchTensor,
} from './pickle-values.ts';

/** Makes the error for the opcode at hand, with its position. */
export type Refusal = (expected: string, got: string) => FormatError;

const STORAGES: ReadonlyMap<string, StoredDtype> = new Map([
  ['torch.DoubleStorage', 'f64'],
  ['torch.FloatStorage', 'f32'],
  ['torch.HalfStorage', 'f16'],
  ['torch.BFloat16Storage', 'bf16'],
  ['torch.LongStorage', 'i64'],
  ['torch.IntStorage', 'i32'],
  ['torch.ShortStorage', 'i16'],
  ['torch.CharStorage', 'i8'],
  ['torch.ByteStorage', 'u8'],
  ['torch.BoolStorage', 'bool'],
]);

const ORDERED_DICT = 'collections.OrderedDict';
const SIZE = 'torch.Size';
const REBUILD_TENSOR = 'torch._utils._rebuild_tensor_v2';
const REBUILD_PARAMETER = 'torch._utils._rebuild_parameter';
/** LlamaGen keeps the options of its training beside the weights. */
const NAMESPACE = 'argparse.Namespace';

/** Mentioned by options only; they mean nothing here. */
const DTYPE_NAMES = ['float64', 'float32', 'float16', 'bfloat16', 'int64', 'int32', 'int16', 'int8', 'uint8', 'bool'];

const PATHS = ['PosixPath', 'PurePosixPath', 'WindowsPath', 'PureWindowsPath', 'Path'];

/**
 * What options of a training hold beside plain values. Calling one of these makes an instance without contents, whatever the
 * arguments: it can be stored and passed over, and nothing can be done with it.
 */
const INERT: ReadonlySet<string> = new Set([
  'torch.device',
  ...['pathlib', 'pathlib._local'].flatMap((module) => PATHS.map((name) => `${module}.${name}`)),
  ...['numpy.core.multiarray', 'numpy._core.multiarray'].flatMap((module) => [
    `${module}.scalar`,
    `${module}._reconstruct`,
  ]),
  'numpy.dtype',
  'numpy.ndarray',
  '_codecs.encode', // how protocol 2 writes the bytes of a scalar
]);

const ALLOWED: ReadonlySet<string> = new Set([
  ...INERT,
  ORDERED_DICT,
  SIZE,
  REBUILD_TENSOR,
  REBUILD_PARAMETER,
  NAMESPACE,
  ...STORAGES.keys(),
  ...DTYPE_NAMES.flatMap((name) => [`torch.${name}`, `numpy.${name}`]),
  'numpy.bool_',
]);

const MAX_SHOWN = 100; // characters of a refused name in its error

/** GLOBAL and STACK_GLOBAL: a name stands for itself. */
export function findGlobal(module: string, name: string, refuse: Refusal): PickleGlobal {
  const full = `${module}.${name}`;
  if (!ALLOWED.has(full)) throw refuse('only what a state dict needs', `global ${full.slice(0, MAX_SHOWN)}`);
  return { kind: 'global', name: full };
}

/** REDUCE: what calling `callable` with these arguments would make. */
export function reduce(callable: PickleValue, args: PickleTuple, refuse: Refusal): PickleValue {
  const name = isKind(callable, 'global') ? callable.name : undefined;
  switch (name) {
    case ORDERED_DICT:
      if (args.items.length > 0) throw refuse('an OrderedDict without arguments', `${args.items.length} of them`);
      return { kind: 'dict', isOrdered: true, entries: NO_ENTRIES };
    case SIZE:
      return { kind: 'tuple', items: wholeNumbers(args.items[0], refuse) };
    case REBUILD_TENSOR:
      return rebuildTensor(args.items, refuse);
    case REBUILD_PARAMETER: {
      const [tensor] = args.items;
      if (!isKind(tensor, 'tensor')) throw refuse('a parameter made from a tensor', describeValue(tensor));
      return tensor;
    }
    default:
      if (name !== undefined && INERT.has(name)) return { kind: 'instance', name, isInert: true };
      throw refuse('a call that rebuilds a tensor', `a call of ${describeValue(callable)}`);
  }
}

/** NEWOBJ: an instance, of the one class that is tolerated. */
export function instantiate(type: PickleValue, args: PickleValue, refuse: Refusal): PickleValue {
  const isEmpty = isKind(args, 'tuple') && args.items.length === 0;
  if (!isKind(type, 'global') || type.name !== NAMESPACE || !isEmpty) {
    throw refuse(`an object of ${NAMESPACE}`, `one of ${describeValue(type)}`);
  }
  return { kind: 'instance', name: NAMESPACE, isInert: false };
}

/** BINPERSID: `('storage', class, key, device, elements)`. */
export function findStorage(id: PickleValue, refuse: Refusal): TorchStorage {
  const items: readonly PickleValue[] = isKind(id, 'tuple') ? id.items : [];
  const [tag, type, key, device, elements] = items;
  const dtype = isKind(type, 'global') ? STORAGES.get(type.name) : undefined;
  if (items.length !== 5 || tag !== 'storage' || typeof key !== 'string' || typeof device !== 'string') {
    throw refuse("('storage', class, key, device, elements)", describeValue(id));
  }
  if (!dtype) throw refuse(`one of ${[...STORAGES.keys()].join(', ')}`, describeValue(type));
  if (!isCount(elements)) throw refuse('a number of elements', describeValue(elements));
  return { kind: 'storage', dtype, key, elements };
}

/** `(storage, offset, shape, strides, requires grad, hooks[, metadata])` */
function rebuildTensor(args: readonly PickleValue[], refuse: Refusal): TorchTensor {
  const [storage, offset, shape, strides] = args;
  if (!isKind(storage, 'storage')) throw refuse('a tensor made from a storage', describeValue(storage));
  if (!isCount(offset)) throw refuse('a storage offset', describeValue(offset));
  const tensor: TorchTensor = {
    kind: 'tensor',
    storage,
    offset,
    shape: wholeNumbers(shape, refuse),
    strides: wholeNumbers(strides, refuse),
  };
  if (tensor.shape.length !== tensor.strides.length) {
    throw refuse(`${tensor.shape.length} strides, as many as sizes`, `${tensor.strides.length}`);
  }
  return tensor;
}

/** Limited in number, because one tuple can serve any number of tensors. */
function wholeNumbers(value: PickleValue | undefined, refuse: Refusal): number[] {
  if (!isKind(value, 'tuple') || value.items.length > LIMITS.rank.most || !value.items.every(isCount)) {
    throw refuse(`a tuple of at most ${LIMITS.rank.most} whole numbers`, describeValue(value));
  }
  return value.items.filter(isCount);
}

function isCount(value: PickleValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
