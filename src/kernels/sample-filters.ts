/**
 * Which logits a draw is among: WGSL that raises `threshold`, the least order of a logit that is kept.
 *
 * Part of the shader in sample.ts, whose names it uses; a workgroup searches together.
 */

/** The k-th largest, eight bits of it a pass: a histogram of the next eight among those that share the bits so far. */
export const TOP_K_SEARCH = `
    var wanted = sizes.topK;
    for (var shift = 24i; shift >= 0; shift -= 8) {
      atomicStore(&histogram[lane], 0);
      workgroupBarrier();
      let mask = select(0xffffffffu << u32(shift + 8), 0u, shift == 24);
      for (var v = lane; v < VOCABULARY; v += THREADS) {
        let k = order(weights[base + v]);
        if ((k & mask) == (threshold & mask)) { atomicAdd(&histogram[(k >> u32(shift)) & 255], 1); }
      }
      workgroupBarrier();
      if (lane == 0) {
        var bin = 255u;
        while (bin > 0 && atomicLoad(&histogram[bin]) < wanted) {
          wanted -= atomicLoad(&histogram[bin]);
          bin--;
        }
        found = vec2u(threshold | (bin << u32(shift)), wanted);
      }
      let hit = workgroupUniformLoad(&found);
      threshold = hit.x;
      wanted = hit.y;
    }`;

/** The smallest key with at most p of the mass above it, bit by bit: each bit stays 0 while that holds. */
export const TOP_P_SEARCH = `
    let total = sumOf(base, lane, most, threshold, true);
    var key = 0xffffffffu;
    for (var bit = 31i; bit >= 0; bit--) {
      let trial = key & ~(1u << u32(bit));
      if (sumOf(base, lane, most, max(threshold, trial + 1), trial != 0xffffffffu) <= sizes.topP * total) { key = trial; }
    }
    threshold = max(threshold, key);`;
