/** The encoder of test/golden/t5. */

import { readFileSync } from 'node:fs';
import type { T5Config } from '../../src/models/parts/t5/config.ts';

export function goldenT5Config(): T5Config {
  const { model_args: args } = JSON.parse(readFileSync('test/golden/t5/config.json', 'utf8'));
  return {
    layers: args.num_layers,
    heads: args.num_heads,
    headDim: args.d_kv,
    width: args.d_model,
    intermediateSize: args.d_ff,
    vocabulary: args.vocab_size,
    buckets: args.relative_attention_num_buckets,
    maxDistance: args.relative_attention_max_distance,
    normEpsilon: args.layer_norm_epsilon,
  };
}
