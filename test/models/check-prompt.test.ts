import assert from 'node:assert/strict';
import { checkPrompt } from '../../src/models/check-prompt.ts';
import { TEXT_KINDS } from '../../src/models/text/prompt.ts';
import { OptionError } from '../../src/tensor/errors.ts';

describe('the names in a prompt', () => {
  it('are one kind that the model draws from, and a size: others are refused with the nearest', () => {
    const revoked = Proxy.revocable({ prompts: ['a'] }, {});
    revoked.revoke();
    const wrong: readonly (readonly [object, RegExp])[] = [
      [{ prompts: ['a'], heigth: 512 }, /^prompt: expected no option 'heigth', got one; did you mean height\?/],
      [{ prompt: ['a'] }, /^prompt: expected no option 'prompt', got one; did you mean prompts\?/],
      [{ prompts: ['a'], classes: [1] }, /^prompt: expected no option 'classes', got one; it takes prompts, /],
      [{ prompts: ['a'], promptTokens: [[1]] }, /^prompt: expected one of .*, got prompts and promptTokens/],
      [{ prompts: ['a'], [Symbol('x')]: 1 }, /^prompt: expected no option/],
      [revoked.proxy, /^prompt: expected an object of options, got one that cannot be read/],
    ];

    for (const [prompt, message] of wrong)
      assert.throws(
        () => checkPrompt(TEXT_KINDS, prompt),
        (error) => error instanceof OptionError && message.test(error.message),
        String(message),
      );
  });

  it('are read once, of the prompt itself, and what is left out stays so', () => {
    const inherited = Object.assign(Object.create({ height: 3 }), { prompts: ['a'], width: undefined });

    const checked = checkPrompt(TEXT_KINDS, inherited);

    assert.deepEqual({ ...checked }, { prompts: ['a'] });
    assert.equal('height' in checked, false);
  });

  it('of a prompt for other models are for the family to refuse', () => {
    const other = { classes: [1] };
    assert.equal(checkPrompt(TEXT_KINDS, other), other);
  });
});
