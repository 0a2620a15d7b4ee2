import assert from 'node:assert/strict';
import { exampleOf, publicNames } from './support/public-names.ts';

describe('the public names', () => {
  it('are documented, every one', () => {
    assert.deepEqual(
      publicNames().filter(({ doc }) => doc === ''),
      [],
    );
  });

  it('have an example where they are called or opened', () => {
    const used = publicNames().filter(({ kind, isError }) => kind === 'function' || (kind === 'class' && !isError));
    assert.deepEqual(
      used.filter((name) => exampleOf(name) === undefined).map(({ name }) => name),
      [],
    );
    assert.ok(used.length > 10);
  });
});
