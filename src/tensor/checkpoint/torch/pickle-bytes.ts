/** A pickle's bytes, read in order; every error tells the opcode's position. */

import { FormatError } from '../../errors.ts';
import { LIMITS } from '../../limits.ts';

const PROTO = 0x80;
const PROTOCOLS = [2, 3, 4, 5];

/** Opcodes that are known and refused: names for errors only. */
const REFUSED: ReadonlyMap<number, string> = new Map([
  [0x30, 'POP'],
  [0x31, 'POP_MARK'],
  [0x32, 'DUP'],
  [0x46, 'FLOAT'],
  [0x49, 'INT'],
  [0x4c, 'LONG'],
  [0x50, 'PERSID'],
  [0x53, 'STRING'],
  [0x54, 'BINSTRING'],
  [0x55, 'SHORT_BINSTRING'],
  [0x56, 'UNICODE'],
  [0x64, 'DICT'],
  [0x67, 'GET'],
  [0x69, 'INST'],
  [0x6c, 'LIST'],
  [0x6f, 'OBJ'],
  [0x70, 'PUT'],
  [PROTO, 'PROTO'],
  [0x82, 'EXT1'],
  [0x83, 'EXT2'],
  [0x84, 'EXT4'],
  [0x8b, 'LONG4'],
  [0x8d, 'BINUNICODE8'],
  [0x8e, 'BINBYTES8'],
  [0x8f, 'EMPTY_SET'],
  [0x90, 'ADDITEMS'],
  [0x91, 'FROZENSET'],
  [0x92, 'NEWOBJ_EX'],
  [0x96, 'BYTEARRAY8'],
  [0x97, 'NEXT_BUFFER'],
  [0x98, 'READONLY_BUFFER'],
]);

export class PickleBytes {
  readonly #view: DataView;
  #at = 0;
  #opcodeAt = 0;

  constructor(
    private readonly place: string,
    private readonly bytes: Uint8Array,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** An arrow, so that it can be handed on. */
  readonly error = (expected: string, got: string): FormatError =>
    new FormatError(`${this.place}: expected ${expected}, got ${got} at byte ${this.#opcodeAt}`);

  refusedOpcode(opcode: number): FormatError {
    const name = REFUSED.get(opcode);
    return this.error('only what a state dict needs', `opcode ${name ? `${name} ` : ''}${hex(opcode)}`);
  }

  readHeader(): void {
    const opcode = this.opcode();
    const protocol = this.uint8();
    if (opcode !== PROTO || !PROTOCOLS.includes(protocol)) {
      throw this.error(`a pickle of protocol ${PROTOCOLS.join(', ')}`, `${hex(opcode)} ${hex(protocol)}`);
    }
  }

  opcode(): number {
    this.#opcodeAt = this.#at;
    return this.uint8();
  }

  expectEnd(): void {
    if (this.#at < this.bytes.length) throw this.error('nothing after STOP', `${this.bytes.length - this.#at} bytes`);
  }

  uint8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  uint16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  /** Big-endian, unlike everything else. */
  float64(): number {
    return this.#view.getFloat64(this.#take(8), false);
  }

  /** Two's complement of at most 255 bytes; a bigint where no number holds it. */
  integer(length: number): number | bigint {
    const start = this.#take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#view.getUint8(start + i));
    value = BigInt.asIntN(8 * length, value);
    return BigInt(Number.MIN_SAFE_INTEGER) <= value && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  }

  /** Bytes that nothing asks for. */
  skip(length: number): void {
    this.#take(length);
  }

  text(length: number): string {
    const start = this.#take(length);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
        this.bytes.subarray(start, start + length),
      );
    } catch {
      throw this.error('a string in UTF-8', 'other bytes');
    }
  }

  /** Up to the next line feed. */
  line(): string {
    const { most } = LIMITS.pickleNameBytes;
    const length = this.bytes.subarray(this.#at, this.#at + most).indexOf(0x0a);
    if (length < 0) throw this.error(`a name of at most ${most} bytes`, 'no end of line');
    const text = this.text(length);
    this.#at++;
    return text;
  }

  /** A frame only tells how much can be read at once. */
  frame(): void {
    const length = this.#view.getBigUint64(this.#take(8), true);
    const left = this.bytes.length - this.#at;
    if (length > BigInt(left)) throw this.error(`a frame of at most ${left} bytes`, `${length}`);
  }

  #take(length: number): number {
    const start = this.#at;
    if (length > this.bytes.length - start) {
      throw this.error(`${length} bytes`, `${this.bytes.length - start} before the end of the pickle`);
    }
    this.#at += length;
    return start;
  }
}

function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, '0')}`;
}
