import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type ImageJob, ImageQueue } from '../../src/serve/image-queue.ts';
import { previewLines } from '../../src/serve/image-request.ts';

interface Waiting {
  readonly job: ImageJob;
  readonly controller: AbortController;
}

function waiting(kind: string, identity: number): Waiting {
  const controller = new AbortController();
  const unused = () => assert.fail('called');
  const job = { kind, settings: {}, prompt: { classes: [1] }, seed: 0, identity, previewLines: new Set<number>() };
  return { controller, job: { ...job, signal: controller.signal, onPreview: unused, onEnd: unused } };
}

describe('a queue of images', () => {
  it('gives each once, the one that waits longest first, with those of its kind in order; never more than it holds', () => {
    const action = fc.oneof(
      fc.record({
        do: fc.constant('add' as const),
        kind: fc.constantFrom('a', 'b'),
        images: fc.integer({ min: 1, max: 5 }),
      }),
      fc.record({ do: fc.constant('take' as const), most: fc.integer({ min: 1, max: 4 }) }),
      fc.record({ do: fc.constant('leave' as const), at: fc.nat(8) }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), fc.integer({ min: 1, max: 8 }), (script, room) => {
        const queue = new ImageQueue(room);
        let model: Waiting[] = [];
        let identity = 0;
        for (const step of script) {
          if (step.do === 'add') {
            const more = Array.from({ length: step.images }, () => waiting(step.kind, identity++));
            const fits = model.length + more.length <= room;
            assert.equal(queue.add(more.map(({ job }) => job)), fits);
            if (fits) model.push(...more);
          } else if (step.do === 'leave') {
            model[step.at]?.controller.abort();
            model = model.filter((_, i) => i !== step.at);
          } else {
            const expected = model.filter(({ job }) => job.kind === model[0]!.job.kind).slice(0, step.most);
            assert.deepEqual(
              queue.take(step.most),
              expected.map(({ job }) => job),
            );
            model = model.filter((one) => !expected.includes(one));
          }
          assert.equal(queue.length, model.length);
        }
      }),
    );
  });
});

describe('pictures on the way', () => {
  it('are as many as asked for, after as many different lines, never more than there are', () => {
    for (let lines = 1; lines <= 64; lines++) {
      for (let pictures = 0; pictures <= lines; pictures++) {
        const after = [...previewLines(pictures, lines)];
        assert.equal(after.length, pictures);
        assert.deepEqual(
          after,
          [...after].sort((a, b) => a - b),
        );
        for (const line of after) assert.ok(line >= 1 && line <= lines);
      }
    }
  });
});
