/** Which tokens are still remembered, as squares in the picture's place; of all heads or of one. */

import { FATES, type Retention } from 'rasterline';
import { element, made } from './dom.ts';

const canvas = element<HTMLCanvasElement>('#memory canvas');
const layer = element<HTMLSelectElement>('#layer');
const head = element<HTMLSelectElement>('#head');

interface Shown {
  readonly retention: Retention;
  readonly lineLength: number;
}
let shown: Shown | undefined;

export function openRetentionMap(): void {
  for (const one of [layer, head]) one.addEventListener('change', paintRetention);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', paintRetention);
  new ResizeObserver(paintRetention).observe(canvas);
}

/** Undefined clears it. */
export function showRetention(next: Shown | undefined): void {
  shown = next;
  if (next) {
    offer(layer, 'layer', next.retention.layers);
    offer(head, 'head', next.retention.kvHeads);
  }
  paintRetention();
  const pages = next?.retention.pages ?? [];
  element('#pages').replaceChildren(...pages.map((role) => made('li', { className: role, textContent: role })));
}

/** Of the first row, the one with the prompt: the share of heads that hold each token, and that know it by a summary. */
function shares({ retention }: Shown): readonly { readonly held: number; readonly summarized: number; readonly isFed: boolean }[] {
  const { layers, rows, kvHeads, tokens, fates } = retention;
  const chosen = (select: HTMLSelectElement, count: number) =>
    select.value === '' ? Array.from({ length: count }, (_, i) => i) : [Number(select.value)];
  const cells = chosen(layer, layers).flatMap((l) => chosen(head, kvHeads).map((h) => l * rows * kvHeads + h));
  return Array.from({ length: tokens }, (_, token) => {
    let [held, summarized] = [0, 0];
    for (const cell of cells) {
      const fate = fates[cell * tokens + token];
      if (fate === FATES.held) held++;
      else if (fate === FATES.summarized) summarized++;
    }
    const isFed = fates[(cells[0] ?? 0) * tokens + token] !== FATES.waiting;
    return { held: held / cells.length, summarized: summarized / cells.length, isFed };
  });
}

/** Anew, when colors or size have changed. */
export function paintRetention(): void {
  const size = Math.round(canvas.clientWidth * devicePixelRatio) || 320;
  Object.assign(canvas, { width: size, height: size });
  const context = canvas.getContext('2d');
  if (!context || !shown) return;
  const style = getComputedStyle(canvas);
  const color = (name: string) => resolved(style, name);
  const [held, summary, forgotten, line] = ['--accent', '--summary', '--forgotten', '--line'].map(color);
  const across = shown.lineLength;
  const cells = shares(shown);
  const down = cells.length / across;
  const gap = Math.max(1, size / across / 12);
  for (const [i, { held: own, summarized, isFed }] of cells.entries()) {
    const x = Math.round(((i % across) * size) / across) + gap / 2;
    const y = Math.round((Math.floor(i / across) * size) / down) + gap / 2;
    const [width, height] = [size / across - gap, size / down - gap];
    const square = (fill: string | undefined, alpha: number) => {
      context.globalAlpha = alpha;
      context.fillStyle = fill ?? '';
      context.fillRect(x, y, width, height);
    };
    if (!isFed) {
      context.globalAlpha = 0.6;
      context.strokeStyle = line ?? '';
      context.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
      continue;
    }
    square(forgotten, 1);
    if (summarized > 0) square(summary, 0.25 + 0.5 * summarized);
    if (own > 0) square(held, 0.2 + 0.8 * own);
  }
  context.globalAlpha = 1;
  const fed = cells.filter(({ isFed }) => isFed).length;
  const kept = cells.reduce((sum, cell) => sum + cell.held, 0);
  canvas.ariaLabel = `Which tokens are remembered: ${Math.round(kept)} of ${fed} drawn, as a mean over the heads shown`;
}

/** Canvas colors know no custom properties, and none that depend on the scheme. */
function resolved(style: CSSStyleDeclaration, name: string): string {
  const probe = made('i', { hidden: true });
  probe.style.color = style.getPropertyValue(name);
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

function offer(select: HTMLSelectElement, what: string, count: number): void {
  if (select.options.length === count + 1) return;
  const options = Array.from({ length: count }, (_, i) => made('option', { value: String(i), textContent: `${what} ${i + 1}` }));
  select.replaceChildren(select.options[0] ?? '', ...options);
}
