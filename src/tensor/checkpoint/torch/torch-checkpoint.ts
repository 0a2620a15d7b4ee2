/**
 * Reads what `torch.save` writes since torch 1.6: a zip archive of `<name>/data.pkl`, a pickle of everything but the
 * numbers, and `<name>/data/<key>`, one record for each storage. Source: torch/serialization.py.
 */

import { FormatError } from '../../errors.ts';
import { expectWithin } from '../../limits.ts';
import type { ByteSource } from '../../source/bytes.ts';
import { type Checkpoint, STORED_BYTES, type StoredTensor } from '../stored-tensor.ts';
import { unpickle } from './pickle.ts';
import { describeValue, isKind, type PickleValue, type TorchStorage, type TorchTensor } from './pickle-values.ts';
import { storedView } from './view.ts';
import { locate, readZip, type ZipEntry } from './zip.ts';

/** Where trainers put the weights, in the order of search: DDP, DeepSpeed, Lightning; else they are the dict itself. */
const WRAPPERS = ['model', 'module', 'state_dict'];

/** Local headers that are read at a time: it matters where each is a request to a server. */
const LOCATE_AT_ONCE = 16;

const RECORD_LIMIT = 16;

type Archive = ReadonlyMap<string, ZipEntry>;

/**
 * Finds the weights and where each lies. What stands beside them (optimizer, steps, options) is read over, not kept.
 * The checkpoint owns the source from then on. Throws FormatError.
 */
export async function openTorch(source: ByteSource): Promise<Checkpoint> {
  const archive = await readZip(source);
  const { root, pickle } = findPickle(source.name, archive);
  await expectLittleEndian(source, archive.get(`${root}byteorder`));

  const place = `${source.name}: ${pickle.name}`;
  expectWithin(place, 'pickleBytes', pickle.bytes);
  const bytes = await source.read(await locate(source, pickle), pickle.bytes);
  const weights = findWeights(source.name, unpickle(place, bytes));
  const records = storageRecords(source.name, weights, archive, root);
  const starts = await locateAll(source, [...new Set(records.values())]);

  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of weights) {
    const start = starts.get(records.get(name)!)!; // each tensor has a record and each record was located
    tensors.set(name, storedView(source, name, tensor, start));
  }
  return { name: source.name, format: 'torch', tensors, metadata: {}, close: () => source.close() };
}

function findPickle(place: string, archive: Archive): { root: string; pickle: ZipEntry } {
  const pickles = [...archive.values()].filter(({ name }) => /^[^/]*\/data\.pkl$/.test(name));
  const [pickle] = pickles;
  if (!pickle || pickles.length > 1) {
    throw new FormatError(
      `${place}: expected one data.pkl in the zip archive, got ${pickles.length}; is it from torch.save?`,
    );
  }
  const root = pickle.name.slice(0, -'data.pkl'.length);
  if (archive.has(`${root}constants.pkl`)) {
    throw new FormatError(`${place}: expected a state dict, got a TorchScript program; save its state_dict() instead`);
  }
  return { root, pickle };
}

/** Files before torch 2.1 have no such record, and are little-endian. */
async function expectLittleEndian(source: ByteSource, record: ZipEntry | undefined): Promise<void> {
  if (!record) return;
  const bytes = await source.read(await locate(source, record), Math.min(record.bytes, RECORD_LIMIT));
  const order = new TextDecoder().decode(bytes);
  if (order !== 'little') {
    throw new FormatError(`${source.name}: ${record.name}: expected little, got ${JSON.stringify(order)}`);
  }
}

/** The tensors of the first dict that has any: that under a wrapper's key, else the root itself. */
function findWeights(place: string, root: PickleValue): ReadonlyMap<string, TorchTensor> {
  if (!isKind(root, 'dict')) throw new FormatError(`${place}: expected a dict of weights, got ${describeValue(root)}`);
  for (const candidate of [...WRAPPERS.map((key) => root.entries.get(key)), root]) {
    const weights = new Map<string, TorchTensor>();
    if (!isKind(candidate, 'dict')) continue;
    for (const [name, value] of candidate.entries) {
      if (!isKind(value, 'tensor')) continue;
      if (typeof name !== 'string') {
        throw new FormatError(`${place}: expected a name for each tensor, got ${describeValue(name)}`);
      }
      weights.set(name, value);
    }
    if (weights.size > 0) return weights;
  }
  throw new FormatError(`${place}: expected tensors under ${WRAPPERS.join(', ')} or at the top, got none`);
}

/** The archive's entry for each tensor, with the size its storage says. */
function storageRecords(
  place: string,
  weights: ReadonlyMap<string, TorchTensor>,
  archive: Archive,
  root: string,
): ReadonlyMap<string, ZipEntry> {
  const records = new Map<string, ZipEntry>();
  for (const [name, { storage }] of weights) {
    const record = archive.get(`${root}data/${storage.key}`);
    const expected = storageBytes(storage);
    if (record?.bytes !== expected) {
      const got = record ? `${record.bytes} bytes` : 'no such record';
      throw new FormatError(`${place}: ${name}: expected ${expected} bytes in data/${storage.key}, got ${got}`);
    }
    records.set(name, record);
  }
  return records;
}

function storageBytes({ dtype, elements }: TorchStorage): number {
  return elements * STORED_BYTES[dtype];
}

async function locateAll(source: ByteSource, entries: readonly ZipEntry[]): Promise<ReadonlyMap<ZipEntry, number>> {
  const starts = new Map<ZipEntry, number>();
  for (let i = 0; i < entries.length; i += LOCATE_AT_ONCE) {
    const batch = entries.slice(i, i + LOCATE_AT_ONCE);
    const found = await Promise.all(batch.map((entry) => locate(source, entry)));
    for (const [index, entry] of batch.entries()) starts.set(entry, found[index]!);
  }
  return starts;
}
