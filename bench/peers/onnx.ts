/** ONNX graphs, written as protobuf by hand: a node, an initializer, a value and an attribute are all that is needed. */

import { LAYER, random } from './sizes.ts';

type Bytes = Uint8Array<ArrayBuffer>;

/** TensorProto.DataType. */
const TYPES = { f32: 1, u8: 2 } as const;
const MICROSOFT = 'com.microsoft';

interface Node {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, number>>;
  readonly floats?: Readonly<Record<string, number>>;
}

interface Graph {
  readonly nodes: readonly Node[];
  readonly constants: Readonly<
    Record<string, { readonly shape: readonly number[]; readonly values: Float32Array | Uint8Array }>
  >;
  readonly input: readonly number[];
  readonly output: readonly number[];
}

export function matmulGraph([rows, outputs, inputs]: readonly [number, number, number]): Bytes {
  return model({
    nodes: [{ operator: 'MatMul', inputs: ['A', 'W'], outputs: ['C'] }],
    constants: { W: { shape: [inputs, outputs], values: random(inputs * outputs) } },
    input: [rows, inputs],
    output: [rows, outputs],
  });
}

/** Blocks of 32, as ours. */
export function matmul4Graph([rows, outputs, inputs]: readonly [number, number, number]): Bytes {
  const groups = inputs / 32;
  const attributes = { K: inputs, N: outputs, bits: 4, block_size: 32, accuracy_level: 4 };
  return model({
    nodes: [{ operator: 'MatMulNBits', inputs: ['A', 'W', 'S'], outputs: ['C'], domain: MICROSOFT, attributes }],
    constants: {
      W: { shape: [outputs, groups, 16], values: new Uint8Array(outputs * groups * 16).fill(0x5a) },
      S: { shape: [outputs * groups], values: random(outputs * groups) },
    },
    input: [rows, inputs],
    output: [rows, outputs],
  });
}

/** Without rotation, which it could do too: the peer is given less to do. The cache is a constant. */
export function layerGraph(cached: number, count: number): Bytes {
  const { width, heads, headDim, inner, rows } = LAYER;
  const matrix = (inputs: number, outputs: number) => ({ shape: [inputs, outputs], values: random(inputs * outputs) });
  const past = { shape: [rows, heads, cached - 1, headDim], values: random(rows * (cached - 1) * width) };
  const constants = {
    ...{ q: matrix(width, width), k: matrix(width, width), v: matrix(width, width), o: matrix(width, width) },
    ...{ gate: matrix(width, inner), up: matrix(width, inner), down: matrix(inner, width) },
    ...{ gain: { shape: [width], values: new Float32Array(width).fill(1) }, pastK: past, pastV: past },
  };
  const nodes = Array.from({ length: count }, (_, layer): Node[] => {
    const at = (name: string) => `${name}${layer}`;
    const x = layer === 0 ? 'A' : at('x');
    const node = (operator: string, inputs: readonly string[], output: string): Node => ({
      operator,
      inputs,
      outputs: [output],
    });
    const norm = (input: string, output: string): Node => ({
      ...node('SimplifiedLayerNormalization', [input, 'gain'], output),
      floats: { epsilon: 1e-5 },
      attributes: { axis: -1 },
    });
    return [
      norm(x, at('n')),
      ...['q', 'k', 'v'].map((name) => node('MatMul', [at('n'), name], at(`${name}_`))),
      {
        ...node('MultiHeadAttention', [at('q_'), at('k_'), at('v_'), '', '', '', 'pastK', 'pastV'], at('a')),
        domain: MICROSOFT,
        attributes: { num_heads: heads },
      },
      node('MatMul', [at('a'), 'o'], at('p')),
      node('Add', [x, at('p')], at('h')),
      norm(at('h'), at('m')),
      node('MatMul', [at('m'), 'gate'], at('g')),
      node('MatMul', [at('m'), 'up'], at('u')),
      node('Sigmoid', [at('g')], at('s')),
      node('Mul', [at('g'), at('s')], at('t')),
      node('Mul', [at('t'), at('u')], at('w')),
      node('MatMul', [at('w'), 'down'], at('d')),
      node('Add', [at('h'), at('d')], layer === count - 1 ? 'C' : `x${layer + 1}`),
    ];
  }).flat();
  return model({ nodes, constants, input: [rows, 1, width], output: [rows, 1, width] });
}

function model({ nodes, constants, input, output }: Graph): Bytes {
  const graph = [
    ...nodes.map((node) => field(1, join(nodeParts(node)))),
    field(2, text('graph')),
    ...Object.entries(constants).map(([name, constant]) => field(5, initializer(name, constant))),
    field(11, value('A', input)),
    field(12, value('C', output)),
  ];
  const opset = (domain: string, version: number) => field(8, join([field(1, text(domain)), number(2, version)]));
  return join([number(1, 8), field(7, join(graph)), opset('', 17), opset(MICROSOFT, 1)]);
}

function nodeParts({ operator, inputs, outputs, domain, attributes = {}, floats = {} }: Node): Bytes[] {
  return [
    ...inputs.map((name) => field(1, text(name))),
    ...outputs.map((name) => field(2, text(name))),
    field(4, text(operator)),
    ...Object.entries(attributes).map(([name, n]) =>
      field(5, join([field(1, text(name)), number(3, n), number(20, 2)])),
    ),
    ...Object.entries(floats).map(([name, n]) => field(5, join([field(1, text(name)), float(2, n), number(20, 1)]))),
    ...(domain ? [field(7, text(domain))] : []),
  ];
}

function initializer(name: string, { shape, values }: Graph['constants'][string]): Bytes {
  const type = values instanceof Uint8Array ? TYPES.u8 : TYPES.f32;
  const raw = new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, values.byteLength);
  return join([...shape.map((size) => number(1, size)), number(2, type), field(8, text(name)), field(9, raw)]);
}

function value(name: string, shape: readonly number[]): Bytes {
  const sizes = field(2, join(shape.map((size) => field(1, number(1, size)))));
  return join([field(1, text(name)), field(2, field(1, join([number(1, TYPES.f32), sizes])))]);
}

function field(id: number, bytes: Bytes): Bytes {
  return join([varint((id << 3) | 2), varint(bytes.length), bytes]);
}

function number(id: number, n: number): Bytes {
  return join([varint(id << 3), varint(n)]);
}

function float(id: number, n: number): Bytes {
  return join([varint((id << 3) | 5), new Uint8Array(Float32Array.of(n).buffer)]);
}

function varint(n: number): Bytes {
  const out: number[] = [];
  let left = BigInt.asUintN(64, BigInt(n));
  for (; left > 127n; left >>= 7n) out.push(Number(left & 127n) | 128);
  return Uint8Array.of(...out, Number(left));
}

function text(words: string): Bytes {
  return new TextEncoder().encode(words);
}

function join(parts: readonly Bytes[]): Bytes {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
