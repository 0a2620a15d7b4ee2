import assert from 'node:assert/strict';
import fc from 'fast-check';
import { flag, nested, numberFrom, required, text, whole } from '../../src/tensor/checks.ts';
import { OptionError } from '../../src/tensor/errors.ts';
import { checkOptions, nearest, type OptionTable, pickOptions } from '../../src/tensor/options.ts';
import { printable, show } from '../../src/tensor/show.ts';
import { ODD_VALUES, wrongOptions } from '../support/wrong-values.ts';

interface Cooking {
  readonly dish: string;
  readonly eggs?: number;
  readonly heat?: number;
  readonly key?: string;
  readonly oven?: { readonly fan?: boolean };
}

const COOKING: OptionTable<Cooking> = {
  place: 'cook',
  options: {
    dish: required(text),
    eggs: whole(0, 12),
    heat: numberFrom(0, 1),
    key: { ...text, fits: (value): value is string => value === 'right', isSecret: true },
    oven: nested<{ readonly fan?: boolean }>({ fan: flag }),
  },
  renamed: { dishes: 'dish' },
};

function refusal(options: unknown): string {
  try {
    checkOptions(COOKING, options);
  } catch (error) {
    assert.ok(error instanceof OptionError, String(error));
    return error.message;
  }
  return 'none';
}

describe('checked options', () => {
  it('are the own ones, each as given', () => {
    const given = { dish: 'cake', eggs: 3, heat: undefined, oven: { fan: true } };

    const { dish, eggs, heat, key, oven } = checkOptions(COOKING, given);

    assert.deepEqual(
      { dish, eggs, heat, key, fan: oven?.fan },
      { dish: 'cake', eggs: 3, heat: undefined, key: undefined, fan: true },
    );
  });

  it('are refused by name, whatever is wrong with them', () => {
    for (const { what, options } of wrongOptions(COOKING, { dish: 'cake' }))
      assert.match(refusal(options), /: expected /, `${what}: ${show(options)}`);
  });

  it('name the nearest option, and the new name of an old one', () => {
    assert.equal(refusal({ dish: 'cake', egs: 1 }), "cook: expected no option 'egs', got one; did you mean eggs?");
    assert.equal(refusal({ dishes: 'cake' }), 'dishes: expected dish, which is its name now; rename the option');
    assert.equal(
      refusal({ dish: 'cake', oven: { fann: true } }),
      "oven: expected no option 'fann', got one; did you mean fan?",
    );
    assert.match(refusal({ dish: 'cake', flour: 1 }), /it takes dish, eggs, heat, key, oven$/);
  });

  it('never show a secret', () => {
    assert.equal(
      refusal({ dish: 'cake', key: 'hf_s3cret\n' }),
      'key: expected a text that is not empty, got one that is not shown',
    );
  });

  it('do not come from a prototype, neither a polluted one nor their own', () => {
    const names = Object.keys(COOKING.options);
    try {
      for (const name of names)
        Object.defineProperty(Object.prototype, name, { value: 'poison', configurable: true, enumerable: true });

      const options = checkOptions(COOKING, Object.create({ eggs: 5 }, { dish: { value: 'cake', enumerable: true } }));

      assert.deepEqual(
        [options.dish, options.eggs, options.heat, options.oven],
        ['cake', undefined, undefined, undefined],
      );
      assert.equal(pickOptions(COOKING, { dish: 'cake' }).eggs, undefined);
    } finally {
      for (const name of names) Reflect.deleteProperty(Object.prototype, name);
    }
  });

  it('are read once', () => {
    let reads = 0;
    const given = {
      get dish() {
        return reads++ === 0 ? 'cake' : 7;
      },
    };

    assert.equal(checkOptions(COOKING, given).dish, 'cake');
    assert.equal(reads, 1);
  });
});

describe('the nearest name', () => {
  it('is found through any one slip, and not for another word', () => {
    const words = ['temperature', 'topK', 'topP', 'seed', 'guidanceScale'];
    fc.assert(
      fc.property(
        fc.constantFrom('temperature', 'guidanceScale'),
        fc.nat(8),
        fc.string({ minLength: 1, maxLength: 1 }),
        (word, at, character) => {
          const slips = [word.slice(0, at) + word.slice(at + 1), word.slice(0, at) + character + word.slice(at)];

          for (const slip of slips) assert.equal(nearest(slip, words), word);
        },
      ),
    );
    assert.equal(nearest('zebra', words), undefined);
  });
});

describe('a shown value', () => {
  it('is one short line without a character that a terminal acts upon', () => {
    fc.assert(
      fc.property(
        fc.nat(ODD_VALUES.length - 1),
        fc.oneof(fc.anything(), fc.string({ unit: 'binary' })),
        (odd, value) => {
          for (const shown of [show(ODD_VALUES[odd]), show(value)])
            assert.ok(shown.length <= 6 * 60 + 2 && printable(shown) === shown, shown);
        },
      ),
    );
    assert.equal(show('\x1b[31m\n'), "'\\u001b[31m\\u000a'");
  });
});
