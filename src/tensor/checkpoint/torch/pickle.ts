/**
 * Reads the pickle of a state dict, as `torch.save` writes it with protocols 2 to 5, by a machine that executes nothing:
 * each opcode it knows moves plain values, every other is refused. Source: Python's Lib/pickletools.py.
 *
 * Bounded: each step takes at least a byte, a length is compared with what is left before anything is made of it, and
 * nothing walks into a value, so depth, cycles and sharing cost nothing.
 */

import { expectWithin, LIMITS, type LimitName } from '../../limits.ts';
import { findGlobal, findStorage, instantiate, reduce } from './globals.ts';
import { PickleBytes } from './pickle-bytes.ts';
import { describeValue, isKind, NO_ENTRIES, type PickleDict, type PickleValue } from './pickle-values.ts';

/** The value of a whole pickle. Throws FormatError naming the opcode or global, and the byte where it stands. */
export function unpickle(place: string, bytes: Uint8Array): PickleValue {
  expectWithin(place, 'pickleBytes', bytes.length);
  return new Machine(new PickleBytes(place, bytes)).run();
}

/** Opcodes that push what they read. */
const VALUES: ReadonlyMap<number, (input: PickleBytes) => PickleValue> = new Map<
  number,
  (input: PickleBytes) => PickleValue
>([
  [0x4e /* NONE */, () => null],
  [0x88 /* NEWTRUE */, () => true],
  [0x89 /* NEWFALSE */, () => false],
  [0x4b /* BININT1 */, (input) => input.uint8()],
  [0x4d /* BININT2 */, (input) => input.uint16()],
  [0x4a /* BININT */, (input) => input.int32()],
  [0x8a /* LONG1 */, (input) => input.integer(input.uint8())],
  [0x47 /* BINFLOAT */, (input) => input.float64()],
  [0x58 /* BINUNICODE */, (input) => input.text(input.uint32())],
  [0x8c /* SHORT_BINUNICODE */, (input) => input.text(input.uint8())],
  [0x43 /* SHORT_BINBYTES */, (input) => inertBytes(input, input.uint8())],
  [0x42 /* BINBYTES */, (input) => inertBytes(input, input.uint32())],
  [0x7d /* EMPTY_DICT */, () => ({ kind: 'dict', isOrdered: false, entries: NO_ENTRIES })],
  [0x5d /* EMPTY_LIST */, () => ({ kind: 'list', items: [] })],
  [0x29 /* EMPTY_TUPLE */, () => ({ kind: 'tuple', items: [] })],
  [0x63 /* GLOBAL */, (input) => findGlobal(input.line(), input.line(), input.error)],
]);

/** Opcodes that work on the stack and the memo. */
const STEPS: ReadonlyMap<number, (machine: Machine) => void> = new Map<number, (machine: Machine) => void>([
  [0x95 /* FRAME */, ({ input }) => input.frame()],
  [0x28 /* MARK */, (machine) => machine.mark()],
  [0x85 /* TUPLE1 */, (machine) => machine.pushTuple(machine.popMany(1))],
  [0x86 /* TUPLE2 */, (machine) => machine.pushTuple(machine.popMany(2))],
  [0x87 /* TUPLE3 */, (machine) => machine.pushTuple(machine.popMany(3))],
  [0x74 /* TUPLE */, (machine) => machine.pushTuple(machine.popToMark())],
  [0x61 /* APPEND */, (machine) => machine.append(machine.popMany(1))],
  [0x65 /* APPENDS */, (machine) => machine.append(machine.popToMark())],
  [0x73 /* SETITEM */, (machine) => machine.setItems(machine.popMany(2))],
  [0x75 /* SETITEMS */, (machine) => machine.setItems(machine.popToMark())],
  [0x71 /* BINPUT */, (machine) => machine.put(machine.input.uint8())],
  [0x72 /* LONG_BINPUT */, (machine) => machine.put(machine.input.uint32())],
  [0x94 /* MEMOIZE */, (machine) => machine.memoize()],
  [0x68 /* BINGET */, (machine) => machine.get(machine.input.uint8())],
  [0x6a /* LONG_BINGET */, (machine) => machine.get(machine.input.uint32())],
  [0x93 /* STACK_GLOBAL */, (machine) => machine.stackGlobal()],
  [0x51 /* BINPERSID */, (machine) => machine.push(findStorage(machine.pop(), machine.input.error))],
  [0x52 /* REDUCE */, (machine) => machine.reduce()],
  [0x81 /* NEWOBJ */, (machine) => machine.instantiate()],
  [0x62 /* BUILD */, (machine) => machine.build()],
]);

const STOP = 0x2e;

class Machine {
  readonly #stack: PickleValue[] = [];
  /** Heights of the stack where a MARK was met: nothing below the last of them can be popped. */
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, PickleValue>();
  #objects = 0;

  constructor(readonly input: PickleBytes) {}

  run(): PickleValue {
    const { input } = this;
    input.readHeader();
    for (let opcode = input.opcode(); opcode !== STOP; opcode = input.opcode()) {
      const readValue = VALUES.get(opcode);
      const step = STEPS.get(opcode);
      if (readValue) this.push(readValue(input));
      else if (step) step(this);
      else throw input.refusedOpcode(opcode);
    }
    const value = this.pop();
    const isAlone = this.#stack.length === 0 && this.#marks.length === 0;
    if (!isAlone) throw input.error('one value at the end', 'more on the stack');
    input.expectEnd();
    return value;
  }

  mark(): void {
    this.#expectRoom('pickleStack', this.#marks.length);
    this.#marks.push(this.#stack.length);
  }

  push(value: PickleValue): void {
    this.#expectRoom('pickleStack', this.#stack.length);
    if (typeof value === 'object' && value !== null) this.#expectRoom('pickleObjects', this.#objects++);
    this.#stack.push(value);
  }

  #expectRoom(limit: LimitName, taken: number): void {
    const { most, of } = LIMITS[limit];
    if (taken >= most) throw this.input.error(`at most ${most} ${of}`, 'more');
  }

  popMany(number: number): PickleValue[] {
    if (this.#stack.length - number < (this.#marks.at(-1) ?? 0)) {
      throw this.input.error(`${number} on the stack above the last mark`, 'fewer');
    }
    return this.#stack.splice(this.#stack.length - number);
  }

  pop(): PickleValue {
    const [value] = this.popMany(1);
    return value as PickleValue; // popMany returns as many as asked for
  }

  popToMark(): PickleValue[] {
    const mark = this.#marks.pop();
    if (mark === undefined) throw this.input.error('a mark on the stack', 'none');
    return this.#stack.splice(mark);
  }

  pushTuple(items: readonly PickleValue[]): void {
    this.push({ kind: 'tuple', items });
  }

  /** What the popped values are put into; it stays on the stack. */
  #top(): PickleValue {
    const value = this.pop();
    this.#stack.push(value);
    return value;
  }

  append(items: readonly PickleValue[]): void {
    const list = this.#top();
    if (!isKind(list, 'list')) throw this.input.error('a list to append to', describeValue(list));
    for (const item of items) list.items.push(item);
  }

  setItems(items: readonly PickleValue[]): void {
    const dict = this.#top();
    if (!isKind(dict, 'dict')) throw this.input.error('a dict to set items of', describeValue(dict));
    if (items.length % 2 !== 0) throw this.input.error('pairs of key and value', 'a key without a value');
    const entries = mutableEntries(dict);
    for (let i = 0; i < items.length; i += 2) {
      const [key, value] = items.slice(i, i + 2) as [PickleValue, PickleValue]; // the length is even
      const isHashable = typeof key !== 'object' || key === null || key.kind === 'tuple' || key.kind === 'global';
      if (!isHashable) throw this.input.error('a key that Python can hash', describeValue(key));
      if (entries.has(key)) throw this.input.error('each key once', `${describeValue(key)} again`);
      entries.set(key, value);
    }
  }

  put(index: number): void {
    this.#memo.set(index, this.#top());
  }

  memoize(): void {
    this.put(this.#memo.size);
  }

  get(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.input.error('a value in the memo', `none at ${index}`);
    this.push(value);
  }

  stackGlobal(): void {
    const [module, name] = this.popMany(2);
    if (typeof module !== 'string' || typeof name !== 'string') {
      throw this.input.error('a global named by two strings', `${describeValue(module)}, ${describeValue(name)}`);
    }
    this.push(findGlobal(module, name, this.input.error));
  }

  reduce(): void {
    const [callable, args] = this.popMany(2) as [PickleValue, PickleValue];
    if (!isKind(args, 'tuple')) throw this.input.error('a tuple of arguments', describeValue(args));
    this.push(reduce(callable, args, this.input.error));
  }

  instantiate(): void {
    const [type, args] = this.popMany(2) as [PickleValue, PickleValue];
    this.push(instantiate(type, args, this.input.error));
  }

  /** Attributes: `_metadata` of a state dict, the fields of a namespace, the state of a numpy dtype. None is kept. */
  build(): void {
    const state = this.pop();
    const target = this.#top();
    const hasAttributes = isKind(target, 'instance') || (isKind(target, 'dict') && target.isOrdered);
    const isState = isKind(state, 'dict') || (isKind(state, 'tuple') && isKind(target, 'instance') && target.isInert);
    if (!hasAttributes || !isState) {
      throw this.input.error(
        'attributes of an OrderedDict or a namespace',
        `${describeValue(state)} for ${describeValue(target)}`,
      );
    }
  }
}

/** Of numpy's scalars, in protocols 3 and later. */
function inertBytes(input: PickleBytes, length: number): PickleValue {
  input.skip(length);
  return { kind: 'instance', name: 'bytes', isInert: true };
}

function mutableEntries(dict: PickleDict): Map<PickleValue, PickleValue> {
  const entries = dict.entries === NO_ENTRIES ? new Map() : (dict.entries as Map<PickleValue, PickleValue>);
  dict.entries = entries;
  return entries;
}
