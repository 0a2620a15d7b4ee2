/** A checkpoint of whatever a tree of weights takes, with random values. */

import { storedShapes } from '../../src/models/weights/stored-shapes.ts';
import type { Checkpoint } from '../../src/tensor/checkpoint/checkpoint.ts';
import { count } from '../../src/tensor/shape.ts';
import { memoryCheckpoint } from './memory-checkpoint.ts';
import { randomValues } from './random.ts';

export function randomCheckpoint(tree: unknown, seed: number): Checkpoint {
  const tensors = [...storedShapes(tree)].map(
    ([name, shape], i) => [name, { shape, values: randomValues(seed + i, count(shape)) }] as const,
  );
  return memoryCheckpoint(Object.fromEntries(tensors));
}
