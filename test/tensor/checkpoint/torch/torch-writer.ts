/** Writes torch archives by hand, byte for byte, so that tests can lie in any field of them. */

const encoder = new TextEncoder();

export interface ZipRecord {
  readonly name: string;
  readonly data: Uint8Array;
  readonly method?: number;
  readonly flags?: number;
}

export interface ZipOptions {
  /** Sizes and offsets go to zip64 fields, as in files above 4 GiB. */
  readonly isZip64?: boolean;
  readonly comment?: string;
}

/** A zip archive which stores its records as they are. */
export function writeZip(records: readonly ZipRecord[], options: ZipOptions = {}): Uint8Array<ArrayBuffer> {
  const wide = options.isZip64 ?? false;
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let offset = 0;
  for (const { name, data, method = 0, flags = 0x0800 } of records) {
    const raw = encoder.encode(name);
    const padding = new Uint8Array([0x46, 0x42, 3, 0, 0x5a, 0x5a, 0x5a]);
    const local = fields('IHHHIIIIHH', [
      0x04034b50,
      45,
      flags,
      method,
      0,
      0,
      data.length,
      data.length,
      raw.length,
      padding.length,
    ]);
    const sizes = wide ? [0xffffffff, 0xffffffff] : [data.length, data.length];
    const extra = wide ? fields('HHQQQ', [1, 24, data.length, data.length, offset]) : new Uint8Array();
    const at = wide ? 0xffffffff : offset;
    directory.push(
      fields('IHHHHIIIIHHHHHII', [
        0x02014b50,
        45,
        45,
        flags,
        method,
        0,
        0,
        ...sizes,
        raw.length,
        extra.length,
        0,
        0,
        0,
        0,
        at,
      ]),
      raw,
      extra,
    );
    parts.push(local, raw, padding, data);
    offset += local.length + raw.length + padding.length + data.length;
  }
  const directoryBytes = total(directory);
  const comment = encoder.encode(options.comment ?? '');
  const end = wide
    ? [0xffff, 0xffff, 0xffffffff, 0xffffffff]
    : [records.length, records.length, directoryBytes, offset];
  if (wide) {
    directory.push(
      fields('IQHHIIQQQQ', [0x06064b50, 44, 45, 45, 0, 0, records.length, records.length, directoryBytes, offset]),
      fields('IIQI', [0x07064b50, 0, offset + directoryBytes, 1]),
    );
  }
  return concat([...parts, ...directory, fields('IHHHHIIH', [0x06054b50, 0, 0, ...end, comment.length]), comment]);
}

/** An archive as torch.save lays it out. */
export function writeTorch(
  pickle: readonly number[],
  storages: Readonly<Record<string, Uint8Array>> = {},
  options: ZipOptions = {},
): Uint8Array<ArrayBuffer> {
  const records = [
    { name: 'archive/data.pkl', data: Uint8Array.from(pickle) },
    { name: 'archive/byteorder', data: encoder.encode('little') },
    ...Object.entries(storages).map(([key, data]) => ({ name: `archive/data/${key}`, data })),
  ];
  return writeZip(records, options);
}

/** Little-endian fields: H of 16 bits, I of 32, Q of 64. */
function fields(format: string, values: readonly number[]): Uint8Array {
  const widths = [...format].map((letter) => ({ H: 2, I: 4, Q: 8 })[letter] ?? 0);
  const view = new DataView(new ArrayBuffer(widths.reduce((sum, width) => sum + width, 0)));
  let at = 0;
  for (const [index, width] of widths.entries()) {
    const value = values[index] ?? 0;
    if (width === 2) view.setUint16(at, value, true);
    else if (width === 4) view.setUint32(at, value, true);
    else view.setBigUint64(at, BigInt(value), true);
    at += width;
  }
  return new Uint8Array(view.buffer);
}

function total(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(total(parts));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Pieces of a pickle of protocol 2: each is the bytes that leave one value on the stack. */
export const write = {
  pickle: (value: readonly number[]) => [0x80, 2, ...value, 0x2e],
  text: (text: string) => {
    const bytes = encoder.encode(text);
    return [0x58, ...uint32(bytes.length), ...bytes];
  },
  int: (value: number) => {
    if (value >= -(2 ** 31) && value < 2 ** 31) return [0x4a, ...uint32(value)];
    return [0x8a, 8, ...fields('Q', [value])];
  },
  global: (module: string, name: string) => [0x63, ...encoder.encode(`${module}\n${name}\n`)],
  tuple: (...items: (readonly number[])[]) => [0x28, ...items.flat(), 0x74],
  list: (...items: (readonly number[])[]) => [0x5d, 0x28, ...items.flat(), 0x65],
  dict: (...items: (readonly number[])[]) => [0x7d, 0x28, ...items.flat(), 0x75],
  call: (callable: readonly number[], ...args: (readonly number[])[]) => [...callable, ...write.tuple(...args), 0x52],
  storage: (key: string, elements: number, type = 'FloatStorage') => [
    ...write.tuple(
      write.text('storage'),
      write.global('torch', type),
      write.text(key),
      write.text('cpu'),
      write.int(elements),
    ),
    0x51,
  ],
  tensor: (
    storage: readonly number[],
    view: { offset?: number; shape: readonly number[]; strides: readonly number[] },
  ) =>
    write.call(
      write.global('torch._utils', '_rebuild_tensor_v2'),
      storage,
      write.int(view.offset ?? 0),
      write.tuple(...view.shape.map(write.int)),
      write.tuple(...view.strides.map(write.int)),
      [0x89],
      write.call(write.global('collections', 'OrderedDict')),
    ),
};

function uint32(value: number): number[] {
  return [value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >> 24) & 255];
}
