/** What the configurations of several families may hold. */

import { numberFrom, required, whole } from '../../tensor/checks.ts';
import { OptionError } from '../../tensor/errors.ts';
import type { OptionTable } from '../../tensor/options.ts';
import type { SamplingDefaults } from '../image-model.ts';

/** A size, or a count. Each limit is far above any model's: what follows from a damaged configuration is computed at once. */
export const SIZE = whole(1, 2 ** 24);

/** Layers, or blocks of a level: each has tensors that are listed. */
export const DEPTH = whole(1, 1024);

/** A side of the image, in tokens or in grids of them. */
export const SIDE = whole(1, 2048);

/** An id of a vocabulary. */
export const ID = required(whole(0));

/** Of rotary angles. */
export const ROPE_BASE = numberFrom(1, 1e12);

/** What norms add to a mean of squares. */
export const EPSILON = numberFrom(0, 1);

export const SAMPLING_OPTIONS: OptionTable<SamplingDefaults>['options'] = {
  guidanceScale: required(numberFrom(0, Number.MAX_VALUE)),
  topK: required(whole(0)),
  temperature: required(numberFrom(0, Number.MAX_VALUE)),
  topP: required(numberFrom(0, 1)),
};

/** Throws OptionError unless equally many heads share each head of keys and values. */
export function expectSharedHeads({ heads, kvHeads }: { readonly heads: number; readonly kvHeads: number }): void {
  if (heads % kvHeads !== 0)
    throw new OptionError(`heads: expected a multiple of the ${kvHeads} kvHeads, got ${heads}`);
}
