/** The form: what it is filled with, what it holds, and what that costs. */

import { MODEL_NAMES } from 'rasterline';
import { plan } from 'rasterline/plan';
import classes from '../../checkpoints/emoji/classes.json';
import { element, made, megabytes } from './dom.ts';
import { cacheOf, hasTextEncoder, isShipped, LEAST_LINES, modelOf, OWN, POLICIES, type Settings, settingsOf, usesWords, withoutUnused } from './settings.ts';

const form = element<HTMLFormElement>('#settings');

/** Fills the form from the address. What is wrong there is told, now and when another link is opened in this page. */
export function openForm(tellWrong: (wrong: readonly string[]) => void): void {
  const named = MODEL_NAMES.map((name) => made('option', { value: name, textContent: isShipped(name) ? `${name} (in this page)` : name }));
  field('model').append(...named, made('option', { value: OWN, textContent: 'another size of a family' }));
  field('policy').append(...POLICIES.map((name) => made('option', { textContent: name })));
  element('#subjects').append(...classes.map(({ short, name }) => made('option', { value: short, label: name })));
  form.addEventListener('input', () => void tell());
  element('#dice').addEventListener('click', () => {
    field('seed').value = String(Math.floor(Math.random() * 1e6));
  });
  const follow = async () => {
    const { settings, wrong } = settingsOf(location.hash.slice(1));
    const lines = await fill(settings);
    const most = lines !== undefined && settings.budget > lines ? [`The link sets budget to ${settings.budget}; this model draws ${lines} lines.`] : [];
    tellWrong([...wrong, ...most]);
  };
  addEventListener('hashchange', () => void follow());
  void follow();
}

/** Gives the lines of the model, where they are known. */
export async function fill(settings: Settings): Promise<number | undefined> {
  for (const [name, value] of Object.entries(settings)) {
    const one = field(name);
    if (one.type === 'checkbox') one.checked = value === true;
    else if (one.type === 'range') Object.assign(one, { max: String(value), value: String(value) }); // until the model's lines are known
    else one.value = String(value);
  }
  return await tell();
}

export function settings(): Settings {
  const text = (name: string) => field(name).value.trim();
  return withoutUnused({
    ...{ model: text('model') as Settings['model'], configuration: text('configuration'), subject: text('subject') },
    ...{ seed: Number(text('seed')), guidance: Number(text('guidance')), policy: text('policy') as Settings['policy'] },
    ...{ budget: Number(text('budget')), kvDtype: text('kvDtype') as Settings['kvDtype'], compare: field('compare').checked },
    ...{ checkpoint: text('checkpoint'), vq: text('vq'), textEncoder: text('textEncoder'), dtype: text('dtype') as Settings['dtype'] },
  });
}

/** What a run needs and no link holds. */
export interface Secrets {
  readonly files: readonly File[];
  readonly vqFiles: readonly File[];
  readonly textFiles: readonly File[];
  readonly token: string;
}

export function secrets(): Secrets {
  const picked = (name: string) => [...(field(name).files ?? [])];
  return { files: picked('picked'), vqFiles: picked('pickedVq'), textFiles: picked('pickedText'), token: field('token').value.trim() };
}

/** Says what the choice costs, before anything is loaded. */
async function tell(): Promise<number | undefined> {
  const chosen = settings();
  const { model, dtype, guidance } = chosen;
  element('#files').hidden = isShipped(model);
  element('#own').hidden = model !== OWN;
  element('#encoder').hidden = !hasTextEncoder(chosen);
  const out = element<HTMLOutputElement>('#bytes');
  try {
    const hasWords = usesWords(chosen);
    element('#what span').textContent = hasWords ? 'Words' : 'Class';
    if (model === 'emoji') field('subject').setAttribute('list', 'subjects');
    else field('subject').removeAttribute('list');
    const shared = { dtype, guided: guidance > 1 };
    const full = await plan(modelOf(chosen), shared);
    const budget = Math.min(chosen.budget, full.lines);
    Object.assign(field('budget'), { min: String(Math.min(LEAST_LINES, full.lines)), max: String(full.lines), value: String(budget) });
    const kept = await plan(modelOf(chosen), { ...shared, cache: cacheOf({ ...chosen, budget }) });
    const own = isShipped(model) ? '' : `, ${megabytes(kept.totalBytes)} in all`;
    out.textContent = `${budget} of ${full.lines}: ${megabytes(kept.kvBytes)} of ${megabytes(full.kvBytes)}${own}`;
    return full.lines;
  } catch (error) {
    out.textContent = (error as Error).message;
    return undefined;
  }
}

function field(name: string): HTMLInputElement {
  return form.elements.namedItem(name) as HTMLInputElement;
}
