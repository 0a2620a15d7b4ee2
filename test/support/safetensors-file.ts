/** A safetensors file in memory, of f32 vectors. */

export function safetensors(tensors: Readonly<Record<string, Float32Array>>): Uint8Array<ArrayBuffer> {
  const header: Record<string, object> = {};
  let at = 0;
  for (const [name, { length }] of Object.entries(tensors)) {
    header[name] = { dtype: 'F32', shape: [length], data_offsets: [at, at + 4 * length] };
    at += 4 * length;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + at);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  at = 8 + text.length;
  for (const values of Object.values(tensors)) {
    file.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
    at += values.byteLength;
  }
  return file;
}
