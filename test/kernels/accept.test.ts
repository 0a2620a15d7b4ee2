import assert from 'node:assert/strict';
import fc from 'fast-check';
import { accept } from '../../src/kernels/accept.ts';
import { stepLength, stepWords } from '../../src/kernels/attention/slots.ts';
import { randomValues } from '../support/random.ts';
import { testRuntime } from '../support/runtime.ts';

const LINE = 6;
const PLACES = 3 * LINE;

/** By definition: places drawn after a step of one image, and its tokens. */
function accepted(
  fed: readonly number[],
  before: readonly number[],
  { first, given, last }: { readonly first: number; readonly given: number; readonly last: number },
): { readonly drawn: number; readonly tokens: readonly number[] } {
  const tokens = [...before];
  const places = fed.map((_, lane) => first + lane).filter((place) => place <= last + 1);
  const wrong = places.findIndex((place, lane) => lane > 0 && fed[lane] !== before[place - 1]);
  const drawn = first + (wrong < 0 ? places.length : wrong);
  for (let place = first + places.length; place < Math.min(drawn + fed.length - 1, PLACES); place++)
    if (place >= given) tokens[place] = tokens[place < LINE ? drawn - 1 : place - LINE]!;
  return { drawn, tokens };
}

describe('accept', () => {
  it('counts the drafts that were right and the token after them, no further than the line, and begins the next', async () => {
    const runtime = await testRuntime();
    const images = 70; // more than a workgroup
    const check = async (lanes: number, line: number, seed: number) => {
      const random = randomValues(seed, images * (PLACES + lanes + 2)).map(Math.abs);
      const pick = (i: number, count: number) => Math.floor(random[i]! * count) % count;
      const last = Math.min((line + 1) * LINE - 1, PLACES - 2);
      const all = Array.from({ length: images }, (_, image) => {
        const from = image * (PLACES + lanes + 2);
        const before = Array.from({ length: PLACES }, (_, i) => pick(from + i, 2));
        const first = line * LINE + 1 + pick(from + PLACES, last + 2 - line * LINE); // up to whole
        const given = pick(from + PLACES + 1, PLACES);
        // mostly right
        const fed = Array.from({ length: lanes }, (_, lane) =>
          pick(from + PLACES + 2 + lane, 8) === 0 ? 9 : (before[first + lane - 1] ?? 0),
        );
        return { before, first, given, fed, last };
      });
      const u32 = (shape: number[], values: number[]) =>
        runtime.tensor(shape, 'u32', 'input', Uint32Array.from(values));
      using tokens = u32(
        [images, PLACES],
        all.flatMap(({ before }) => before),
      );
      using drawn = u32(
        [images],
        all.map(({ first }) => first),
      );
      using fed = u32(
        [images, lanes],
        all.flatMap((one) => one.fed),
      );
      using seeds = u32(
        [images, 4],
        all.flatMap(({ given }) => [0, 0, 0, given]),
      );
      using step = runtime.tensor([stepLength(1)], 'u32', 'step');
      const lane = { token: last, slot: 0, first: 0, end: LINE, source: 0, draws: 0 };
      const none = { extent: 0, observed: 0, isFresh: 0, summariesFrom: 0, summariesTo: 0, leavingSlot: 0, isFirst: 0 };
      step.write(stepWords({ ...none, lanes: [lane] }));

      const state = { tokens, drawn, seed: seeds, token: drawn, notFinite: drawn };
      using program = await runtime.record('accept', () => accept(fed, step, state, LINE));
      program.run();

      const [told, written] = [await drawn.read(), await tokens.read()];
      for (const [image, one] of all.entries()) {
        const expected = accepted(one.fed, one.before, one);
        assert.equal(told[image], expected.drawn, JSON.stringify(one));
        assert.deepEqual([...written.slice(image * PLACES, (image + 1) * PLACES)], expected.tokens);
      }
    };
    await fc.assert(fc.asyncProperty(fc.integer({ min: 2, max: LINE }), fc.nat({ max: 2 }), fc.nat(), check), {
      numRuns: 15,
    });
  });
});
