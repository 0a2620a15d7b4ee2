/** GPUBufferUsage and GPUMapMode by number: the globals do not exist in Node. */
const MAP_READ = 1;
const COPY_SOURCE = 4;
const COPY_TARGET = 8;
const STORAGE = 128;
const MODE_READ = 1;

/** The smallest proof that a device computes: doubles each number in a shader and reads the result back. */
export async function doubled(device: GPUDevice, numbers: readonly number[]): Promise<number[]> {
  const size = numbers.length * 4;
  const values = device.createBuffer({ size, usage: STORAGE | COPY_SOURCE | COPY_TARGET });
  const staging = device.createBuffer({ size, usage: MAP_READ | COPY_TARGET });
  device.queue.writeBuffer(values, 0, new Float32Array(numbers));
  const pipeline = await device.createComputePipelineAsync({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code: SHADER }) },
  });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer: values } }],
  });

  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(numbers.length);
  pass.end();
  encoder.copyBufferToBuffer(values, 0, staging, 0, size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(MODE_READ);
  return [...new Float32Array(staging.getMappedRange())];
}

const SHADER = `
  @group(0) @binding(0) var<storage, read_write> values: array<f32>;
  @compute @workgroup_size(1)
  fn main(@builtin(workgroup_id) group: vec3u) { values[group.x] *= 2.0; }`;
