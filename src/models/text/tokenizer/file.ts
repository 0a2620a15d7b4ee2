/** The two files of a tokenizer, checked and brought to the form that the JavaScript library reads right. */

import { FormatError } from '../../../tensor/errors.ts';
import { expectWithin, LIMITS } from '../../../tensor/limits.ts';
import { parseJson } from '../../../tensor/source/json.ts';
import { describe, expectArray, expectObject, expectText, isObject, type JsonObject } from './json.ts';
import { exactNormalizer } from './normalizer.ts';
import { exactSplits } from './splits.ts';

export interface TokenizerFile {
  /** What the library's constructor takes. */
  readonly tokenizer: JsonObject;
  /** One more than the highest id. */
  readonly vocabulary: number;
}

/** `config` is the text of tokenizer_config.json. Throws FormatError for what is no tokenizer of the kinds we read. */
export function readTokenizerFile(
  name: string,
  text: string,
  config: { readonly name: string; readonly text: string } | undefined,
): TokenizerFile {
  const root = expectObject(name, parseJson(name, text));
  const model = expectObject(`${name}: model`, root.model);
  const added = expectArray(`${name}: added_tokens`, root.added_tokens ?? []).map((token, i) =>
    addedToken(`${name}: added_tokens[${i}]`, token),
  );
  const ids = [...modelIds(`${name}: model`, model), ...added.map(({ id }) => id)];
  expectRules(`${name}: normalizer`, root.normalizer, 'normalizers');
  expectRules(`${name}: pre_tokenizer`, root.pre_tokenizer, 'pretokenizers');
  expectRules(`${name}: post_processor`, root.post_processor, 'processors');
  const vocabulary = ids.reduce((most, id) => Math.max(most, id + 1), 0);
  return {
    vocabulary,
    tokenizer: {
      model: { ...model, type: Array.isArray(model.vocab) ? 'Unigram' : 'BPE' },
      added_tokens: added,
      normalizer: exactNormalizer(`${name}: normalizer`, root.normalizer),
      pre_tokenizer: exactSplits(`${name}: pre_tokenizer`, root.pre_tokenizer),
      post_processor:
        (config && llamaTemplate(config.name, parseJson(config.name, config.text))) ??
        exactProcessor(`${name}: post_processor`, root.post_processor),
      decoder: null,
    },
  };
}

/** Every id of the model. A merge must make a token that there is: else a text would lose characters. */
function modelIds(place: string, model: JsonObject): number[] {
  if (model.type === 'Unigram' || (model.type === undefined && Array.isArray(model.vocab))) {
    const vocab = expectArray(`${place}.vocab`, model.vocab);
    for (const [i, entry] of vocab.entries()) {
      const sound = Array.isArray(entry) && typeof entry[0] === 'string' && Number.isFinite(entry[1]);
      if (!sound) throw new FormatError(`${place}.vocab[${i}]: expected a token and its score, got ${describe(entry)}`);
      expectWithin(`${place}.vocab[${i}]`, 'tokenCharacters', entry[0].length);
    }
    const unknown = expectId(`${place}.unk_id`, model.unk_id, vocab.length);
    if (model.byte_fallback === true)
      throw new FormatError(`${place}.byte_fallback: expected false in a unigram model, got true`);
    return [unknown, vocab.length - 1];
  }
  if (model.type !== 'BPE' && model.type !== undefined)
    throw new FormatError(`${place}.type: expected BPE or Unigram, got ${describe(model.type)}`);
  const vocab = new Map(Object.entries(expectObject(`${place}.vocab`, model.vocab)));
  const ids = [...vocab].map(([token, id]) => expectId(`${place}.vocab[${describe(token)}]`, id));
  for (const [i, merge] of expectArray(`${place}.merges`, model.merges).entries()) {
    const parts: readonly unknown[] = typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? merge : [];
    const isKnown = parts.length === 2 && parts.every((part) => typeof part === 'string' && vocab.has(part));
    if (!isKnown || !vocab.has(parts.join('')))
      throw new FormatError(`${place}.merges[${i}]: expected two tokens that make a third, got ${describe(merge)}`);
  }
  for (const name of ['continuing_subword_prefix', 'end_of_word_suffix']) {
    if (model[name]) throw new FormatError(`${place}.${name}: expected none, got ${describe(model[name])}`);
  }
  return ids;
}

function addedToken(place: string, value: unknown): JsonObject & { readonly id: number } {
  const token = expectObject(place, value);
  return { ...token, id: expectId(`${place}.id`, token.id), content: expectText(`${place}.content`, token.content) };
}

function expectId(place: string, value: unknown, end: number = LIMITS.tokenIds.most): number {
  if (Number.isInteger(value) && (value as number) >= 0 && (value as number) < end) return value as number;
  throw new FormatError(`${place}: expected an id from 0 to ${end - 1}, got ${describe(value)}`);
}

/**
 * The Llama class takes its begin and end tokens from the configuration, whatever the tokenizer's own template says.
 *
 * Source: transformers 4, tokenization_llama_fast.py, update_post_processor.
 */
function llamaTemplate(name: string, value: unknown): JsonObject | undefined {
  const config = expectObject(name, value);
  if (config.tokenizer_class !== 'LlamaTokenizer' && config.tokenizer_class !== 'LlamaTokenizerFast') return undefined;
  const token = (key: string, fallback: string) => {
    const given = config[key] ?? fallback;
    const id = expectText(`${name}: ${key}`, isObject(given) ? given.content : given);
    return { SpecialToken: { id, type_id: 0 } };
  };
  const begin = config.add_bos_token === false ? [] : [token('bos_token', '<s>')];
  const end = config.add_eos_token === true ? [token('eos_token', '</s>')] : [];
  return { type: 'TemplateProcessing', single: [...begin, { Sequence: { id: 'A', type_id: 0 } }, ...end] };
}

/** Rules in rules count too: what each of them may do to a text is bounded, so their number must be. */
function expectRules(place: string, rules: unknown, parts: string): number {
  const inner = isObject(rules) && Array.isArray(rules[parts]) ? rules[parts] : [];
  const count = inner.reduce((sum: number, rule) => sum + expectRules(place, rule, parts), 1);
  expectWithin(place, 'rules', count);
  return count;
}

/** What is put around a text. Throws FormatError for a template that repeats the text. */
function exactProcessor(place: string, value: unknown): JsonObject | null {
  if (value === null || value === undefined) return null;
  const processor = expectObject(place, value);
  for (const [i, part] of expectArray(`${place}.processors`, processor.processors ?? []).entries())
    exactProcessor(`${place}.processors[${i}]`, part);
  const single = expectArray(`${place}.single`, processor.single ?? []);
  expectWithin(`${place}.single`, 'rules', single.length);
  const texts = single.filter((part) => isObject(part) && part.Sequence !== undefined).length;
  if (texts > 1) throw new FormatError(`${place}.single: expected the text once, got it ${texts} times`);
  return processor;
}
