/** The studio: settings in, pictures out, and what is remembered of them meanwhile. */

import type { CacheOptions } from 'rasterline';
import { plan } from 'rasterline/plan';
import { element, made } from './dom.ts';
import { closeEngine, type Progress } from './engine.ts';
import { addToGallery, type SheetRow, saveSheet, share } from './gallery.ts';
import { openRetentionMap, paintRetention, showRetention } from './retention-map.ts';
import { openForm, settings } from './form.ts';
import { type Finished, run } from './run.ts';
import { cacheOf, LEAST_LINES, modelOf, type Settings } from './settings.ts';
import { openStorage } from './storage.ts';
import { isLoss, obstacle, wordsFor } from './words.ts';

const message = element('#message');
const draw = element<HTMLButtonElement>('#draw');
const stop = element<HTMLButtonElement>('#stop');
const sheet = element<HTMLButtonElement>('#sheet');
let running: AbortController | undefined;

type Place = 'kept' | 'full';

/** What a run had drawn when its device was lost. */
interface Resume {
  readonly place: Place;
  readonly tokens: Uint32Array;
  readonly line: number;
}

const why = obstacle();
openForm((wrong) => wrong.length > 0 && !why && say(wrong, 'bad'));
openRetentionMap();
void openStorage();
if (why) {
  say([why], 'bad');
  for (const button of [draw, sheet]) button.disabled = true;
}

element<HTMLFormElement>('#settings').addEventListener('submit', (event) => {
  event.preventDefault();
  void drawBoth(settings());
});
stop.addEventListener('click', () => running?.abort(new Error('stopped')));
addEventListener('keydown', ({ key }) => key === 'Escape' && running?.abort(new Error('stopped')));
sheet.addEventListener('click', () => void drawSheet(settings()));
element('#share').addEventListener('click', async () => say([await share(settings())]));
element('#theme').addEventListener('click', () => {
  const { style } = document.documentElement;
  const isDark = style.colorScheme ? style.colorScheme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  style.colorScheme = isDark ? 'light' : 'dark';
  paintRetention();
});

/** With the budget, then with everything remembered. After a loss it begins where that was. */
async function drawBoth(chosen: Settings, resume?: Resume): Promise<void> {
  await working(async (signal) => {
    for (const place of ['kept', 'full'] as const) {
      if (place === 'full' && !chosen.compare) continue;
      if (resume?.place === 'full' && place === 'kept') continue;
      const finished = await drawOne(chosen, { place, signal, before: resume?.place === place ? resume : undefined });
      addToGallery({ settings: chosen, memory: memoryName(place, chosen), ...finished });
    }
    say(['Drawn. The gallery keeps it with its settings.']);
  });
}

async function drawOne(
  chosen: Settings,
  { place, signal, before }: { readonly place: Place; readonly signal: AbortSignal; readonly before?: Resume | undefined },
): Promise<Finished> {
  const cache: CacheOptions = place === 'kept' ? cacheOf(chosen) : { policy: 'full' };
  const figure = element(`#${place}`);
  const canvas = figure.querySelector('canvas');
  const figures = figure.querySelector<HTMLElement>('.figures');
  if (!canvas || !figures) throw new Error('index.html: expected a canvas and figures');
  let resume: Resume = before ?? { place, tokens: new Uint32Array(), line: 0 };
  if (!before) canvas.getContext('2d')?.clearRect(0, 0, canvas.width, canvas.height);
  try {
    const finished = await run({
      ...{ settings: chosen, cache, canvas, figures, signal, tokens: before?.tokens },
      onProgress: sayProgress,
      onLine: ({ line, lines, tokens, retention }) => {
        if (line > resume.line) resume = { place, tokens, line }; // what was drawn before is only fed again
        sayProgress({ what: `Drawing ${chosen.subject}`, share: line / lines });
        if (place === 'kept') showRetention({ retention, lineLength: tokens.length / line });
      },
    });
    canvas.ariaLabel = `${chosen.subject}, ${memoryName(place, chosen)}`;
    return finished;
  } catch (error) {
    throw Object.assign(error instanceof Error ? error : new Error(String(error)), { resume, chosen });
  }
}

/** The same over policies and budgets, on one picture. */
async function drawSheet(chosen: Settings): Promise<void> {
  await working(async (signal) => {
    const { lines } = await plan(modelOf(chosen));
    const budgets = [...new Set([LEAST_LINES, lines >> 2, lines >> 1])].filter((budget) => budget >= LEAST_LINES && budget < lines);
    const one = async (settings: Settings, place: Place) => (await drawOne(settings, { place, signal })).image;
    const rows: SheetRow[] = [{ name: 'everything', images: [{ label: 'all lines', image: await one(chosen, 'full') }] }];
    for (const policy of ['summary', 'line-ar', 'streaming'] as const) {
      const images: SheetRow['images'][number][] = [];
      for (const budget of budgets) images.push({ label: `${budget} lines`, image: await one({ ...chosen, policy, budget }, 'kept') });
      rows.push({ name: policy, images });
    }
    await saveSheet(`${chosen.subject}, seed ${chosen.seed}`, rows);
    say(['The contact sheet is among your downloads.']);
  });
}

/** One piece of work at a time; what goes wrong is said, and can be gone on from. */
async function working(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  if (running || why) return;
  running = new AbortController();
  const { signal } = running;
  for (const button of [draw, sheet]) button.disabled = true;
  stop.disabled = false;
  try {
    await work(signal);
  } catch (error) {
    if (signal.aborted) say(['Stopped. What was drawn so far stays on the page.']);
    else await fail(error);
  } finally {
    running = undefined;
    for (const button of [draw, sheet]) button.disabled = false;
    stop.disabled = true;
    void openStorage();
  }
}

async function fail(error: unknown): Promise<void> {
  say([wordsFor(error)], 'bad');
  if (!isLoss(error)) return;
  await closeEngine();
  const { resume, chosen } = error as { readonly resume?: Resume; readonly chosen?: Settings };
  if (!resume || !chosen || resume.line === 0) return;
  const goOn = made('button', { type: 'button', id: 'go-on', textContent: `Go on from line ${resume.line}` });
  goOn.addEventListener('click', () => void drawBoth(chosen, resume));
  message.append(goOn);
  goOn.focus();
}

function memoryName(place: Place, { policy, budget }: Settings): string {
  return place === 'full' ? 'everything remembered' : `${policy}, ${budget}\u00a0lines`;
}

function say(sentences: readonly string[], kind: 'bad' | '' = ''): void {
  message.className = kind;
  message.replaceChildren(...sentences.map((textContent) => made('p', { textContent })));
}

function sayProgress({ what, share }: Progress): void {
  const percent = share === undefined ? '' : ` ${Math.round(100 * share)} %`;
  const bar = made('progress', { max: 1, ariaLabel: what, ...(share !== undefined && { value: share }) });
  message.className = '';
  message.replaceChildren(made('p', { textContent: `${what}${percent}` }), bar);
}
