/** What to draw: the form, and the part of the address after `#`, which a link shares. */

import { type CacheOptions, MODEL_NAMES, type PolicyName, type Prompt } from 'rasterline';
import { plan } from 'rasterline/plan';
import classes from '../../checkpoints/emoji/classes.json';
import { element, made, megabytes } from './dom.ts';

export interface Settings {
  readonly model: string;
  /** Name or id of a class, or words. */
  readonly subject: string;
  readonly seed: number;
  readonly guidance: number;
  readonly policy: PolicyName;
  readonly budget: number;
  readonly compare: boolean;
  /** Of models that are not in the page. */
  readonly checkpoint: string;
  readonly vq: string;
  readonly dtype: 'f16' | 'f32' | 'int8' | 'int4';
}

const DEFAULTS: Settings = {
  ...{ model: 'emoji', subject: 'cherries', seed: 7, guidance: 2, policy: 'summary', budget: 4, compare: true },
  ...{ checkpoint: '', vq: '', dtype: 'f16' },
};

const POLICIES: readonly PolicyName[] = ['summary', 'line-ar', 'streaming', 'h2o', 'snapkv', 'r-kv', 'random'];
const form = element<HTMLFormElement>('#settings');

/** Fills the form from the address, and keeps what it says of bytes right. */
export function openSettings(): void {
  select('model').append(...MODEL_NAMES.map((name) => made('option', { value: name, textContent: name === 'emoji' ? 'emoji (in this page)' : name })));
  select('policy').append(...POLICIES.map((name) => made('option', { textContent: name })));
  element('#subjects').append(...classes.map(({ short, name }) => made('option', { value: short, label: name })));
  fill({ ...DEFAULTS, ...fromAddress(location.hash.slice(1)) });
  form.addEventListener('input', () => void tell());
  element('#dice').addEventListener('click', () => {
    input('seed').value = String(Math.floor(Math.random() * 1e6));
  });
  void tell();
}

export function fill(settings: Settings): void {
  for (const [name, value] of Object.entries(settings)) {
    const field = form.elements.namedItem(name) as HTMLInputElement;
    if (field.type === 'checkbox') field.checked = value === true;
    else field.value = String(value);
  }
  void tell();
}

export function settings(): Settings {
  const text = (name: string) => input(name).value.trim();
  return {
    ...{ model: text('model'), subject: text('subject'), seed: Number(text('seed')), guidance: Number(text('guidance')) },
    ...{ policy: text('policy') as PolicyName, budget: Number(text('budget')), compare: input('compare').checked },
    ...{ checkpoint: text('checkpoint'), vq: text('vq'), dtype: text('dtype') as Settings['dtype'] },
  };
}

export function pickedFiles(): readonly File[] {
  return [...(input('picked').files ?? [])];
}

/** The address of this page with these settings. */
export function linkTo(settings: Settings): string {
  const changed = Object.entries(settings).filter(([name, value]) => value !== '' && (name === 'seed' || value !== DEFAULTS[name as keyof Settings]));
  return `${location.origin}${location.pathname}#${new URLSearchParams(changed.map(([name, value]) => [name, String(value)]))}`;
}

function fromAddress(text: string): Partial<Settings> {
  const given = new URLSearchParams(text);
  const known = Object.entries(DEFAULTS).filter(([name]) => given.has(name));
  return Object.fromEntries(
    known.map(([name, usual]) => {
      const value = given.get(name) ?? '';
      return [name, typeof usual === 'number' ? Number(value) || 0 : typeof usual === 'boolean' ? value === 'true' : value];
    }),
  );
}

export function promptOf({ model, subject }: Settings): Prompt {
  if (usesWords(model)) return { prompts: [subject] };
  const found = model.startsWith('emoji') ? classes.find(({ short, name }) => short === subject || name === subject)?.id : undefined;
  const id = found ?? (/^\d+$/.test(subject) ? Number(subject) : undefined);
  if (id === undefined) throw new Error(`There is no class ‘${subject}’. Choose one from the list, or give its number.`);
  return { classes: [id] };
}

export function cacheOf({ policy, budget }: Settings): CacheOptions {
  return { policy, budgetLines: budget };
}

export function usesWords(model: string): boolean {
  return !/^emoji$|^llamagen-(?!.*t2i)/.test(model);
}

/** Says what the choice costs. */
async function tell(): Promise<void> {
  const { model, policy, dtype, guidance } = settings();
  element('#files').hidden = model === 'emoji' || model === 'emoji-text';
  element('#what span').textContent = usesWords(model) ? 'Words' : 'Class';
  if (usesWords(model) || model !== 'emoji') input('subject').removeAttribute('list');
  else input('subject').setAttribute('list', 'subjects');
  const out = element<HTMLOutputElement>('#bytes');
  try {
    const shared = { dtype, guided: guidance > 1 };
    const full = await plan(model, shared);
    const budget = Math.min(Number(input('budget').value), full.lines);
    Object.assign(input('budget'), { max: String(full.lines), value: String(budget) });
    const kept = await plan(model, { ...shared, cache: { policy, budgetLines: budget } });
    const own = model.startsWith('emoji') ? '' : `, ${megabytes(kept.totalBytes)} in all`;
    out.textContent = `${budget} of ${full.lines}: ${megabytes(kept.kvBytes)} of ${megabytes(full.kvBytes)}${own}`;
  } catch (error) {
    out.textContent = (error as Error).message;
  }
}

function input(name: string): HTMLInputElement {
  return form.elements.namedItem(name) as HTMLInputElement;
}

function select(name: string): HTMLSelectElement {
  return form.elements.namedItem(name) as HTMLSelectElement;
}
