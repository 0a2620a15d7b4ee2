/** Pictures that were drawn, each with the settings to draw it again. */

import { encodePng, type GeneratedImage, type Recipe, VERSION } from 'rasterline';
import { download, element, made } from './dom.ts';
import { cacheOf, fill, linkTo, promptOf, type Settings } from './settings.ts';

interface Entry {
  readonly settings: Settings;
  readonly image: GeneratedImage;
}

const shelf = element<HTMLUListElement>('#shelf');

export function addToGallery(entry: Entry, figures: string): void {
  const { settings, image } = entry;
  element('#empty').hidden = true;
  const canvas = made('canvas', { role: 'img', ariaLabel: `${settings.subject}, ${cacheName(settings)}, seed ${settings.seed}` });
  image.toCanvas(canvas);
  const again = made('button', { type: 'button', className: 'quiet', textContent: 'Settings' });
  again.addEventListener('click', () => {
    fill(settings);
    element('#settings').scrollIntoView({ block: 'start' });
  });
  const keep = made('button', { type: 'button', className: 'quiet', textContent: 'PNG' });
  keep.addEventListener('click', () => download(`${fileName(settings)}.png`, new Blob([pngOf(entry)], { type: 'image/png' })));
  const words = made('p', { title: figures }, made('b', { textContent: settings.subject }), made('br', {}), `${cacheName(settings)}, seed ${settings.seed}`);
  shelf.prepend(made('li', {}, canvas, words, again, keep));
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

function pngOf({ settings, image }: Entry): Uint8Array<ArrayBuffer> {
  const sampling = { guidanceScale: settings.guidance, cfgInterval: -1, temperature: 1, topK: 0, topP: 1, seed: settings.seed, firstImage: 0 };
  const recipe: Recipe = {
    ...{ version: VERSION, model: settings.model, prompt: promptOf(settings) as Recipe['prompt'], sampling },
    ...{ cache: settings.policy === 'full' ? { policy: 'full' } : cacheOf(settings), loaded: { dtype: settings.dtype } },
  };
  return encodePng(image, recipe);
}

function cacheName({ policy, budget }: Settings): string {
  return policy === 'full' ? 'everything remembered' : `${policy}, ${budget} lines`;
}

function fileName({ subject, policy, budget, seed }: Settings): string {
  return [subject.replaceAll(/\W+/g, '-').slice(0, 40), policy, ...(policy === 'full' ? [] : [budget]), seed].join('-');
}
