/** Pictures that were drawn, each with the settings to draw it again. */

import { type GeneratedImage, type Recipe } from 'rasterline';
import { download, element, made } from './dom.ts';
import { fill } from './form.ts';
import { linkTo, type Settings } from './settings.ts';

export interface Entry {
  readonly settings: Settings;
  /** What was remembered, in words. */
  readonly memory: string;
  readonly figures: string;
  readonly image: GeneratedImage;
  readonly recipe: Recipe;
}

const shelf = element<HTMLUListElement>('#shelf');

export function addToGallery({ settings, memory, figures, image, recipe }: Entry): void {
  const { subject, seed } = settings;
  const canvas = made('canvas', { role: 'img', ariaLabel: `${subject}, ${memory}, seed ${seed}` });
  image.toCanvas(canvas);
  const words = made('p', { title: figures }, made('b', { textContent: subject }), made('br', {}), `${memory}, seed\u00a0${seed}`);
  const item = made('li', {}, canvas, words);
  const button = (name: string, act: () => void) => {
    const one = made('button', { type: 'button', className: 'quiet', textContent: name, ariaLabel: `${name}: ${canvas.ariaLabel}` });
    one.addEventListener('click', act);
    item.append(one);
  };
  button('Settings', () => {
    void fill(settings);
    element('#settings').scrollIntoView({ block: 'start' });
  });
  button('PNG', () => download(`${fileName(`${subject} ${memory} ${seed}`)}.png`, image.toBlob(recipe)));
  button('Delete', () => {
    const next = (item.nextElementSibling ?? item.previousElementSibling)?.querySelector('button') ?? element('#draw');
    item.remove();
    element('#empty').hidden = shelf.childElementCount > 0;
    next.focus(); // where the keyboard was is gone
  });
  shelf.prepend(item);
  element('#empty').hidden = true;
}

export async function share(settings: Settings): Promise<string> {
  const link = linkTo(settings);
  history.replaceState(undefined, '', link);
  try {
    await navigator.clipboard.writeText(link);
    return 'The link is copied: it holds every setting.';
  } catch {
    return 'The link is in the address bar now: it holds every setting.';
  }
}

export interface SheetRow {
  readonly name: string;
  readonly images: readonly { readonly label: string; readonly image: GeneratedImage }[];
}

/** One picture of all, a row a policy. */
export async function saveSheet(title: string, rows: readonly SheetRow[]): Promise<void> {
  const first = rows[0]?.images[0]?.image;
  if (!first) return;
  const scale = Math.max(1, Math.round(160 / first.width));
  const [cell, side, label] = [first.width * scale + 12, 110, 26];
  const canvas = new OffscreenCanvas(side + cell * Math.max(...rows.map(({ images }) => images.length)), 44 + rows.length * (cell + label));
  const context = canvas.getContext('2d');
  if (!context) return;
  context.fillStyle = '#fff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = '#1d1c22';
  context.imageSmoothingEnabled = false;
  context.font = '600 16px system-ui, sans-serif';
  context.fillText(title, 12, 28);
  context.font = '13px system-ui, sans-serif';
  for (const [r, { name, images }] of rows.entries()) {
    const y = 44 + r * (cell + label);
    context.fillText(name, 12, y + cell / 2);
    for (const [i, { label: text, image }] of images.entries()) {
      const own = new OffscreenCanvas(image.width, image.height);
      image.toCanvas(own);
      context.drawImage(own, side + i * cell, y, image.width * scale, image.height * scale);
      context.fillText(text, side + i * cell, y + image.height * scale + 18);
    }
  }
  download('contact-sheet.png', await canvas.convertToBlob({ type: 'image/png' }));
}

function fileName(words: string): string {
  return words.replaceAll(/[^\p{L}\p{N}]+/gu, '-').slice(0, 60);
}
