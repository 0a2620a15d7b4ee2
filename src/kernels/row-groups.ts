/** Dispatches with a workgroup a row, of more rows than one dimension has workgroups: the rest goes into the third. */

/** The least that every device offers. Source: WebGPU, maxComputeWorkgroupsPerDimension. */
const MOST = 65_535;

/** The second and third dimension of a dispatch over rows. */
export function rowGroups(rows: number): readonly [number, number] {
  return [Math.min(rows, MOST), Math.ceil(rows / MOST)];
}

/** WGSL: the row of a thread whose group, or whose own place, is `at`; beyond `sizes.rows` there is none, and it returns. */
export const ROW = (at: string) => `let row = ${at}.z * ${MOST}u + ${at}.y;
  if (row >= sizes.rows) { return; }`;
