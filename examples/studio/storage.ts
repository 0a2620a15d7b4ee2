/** What this page keeps on the device, and how to be rid of it. */

import { downloads } from 'rasterline';
import { element, megabytes } from './dom.ts';

export async function openStorage(): Promise<void> {
  const stored = element('#stored');
  element('#clear').onclick = async () => {
    await (await downloads().catch(() => undefined))?.clear();
    for (const name of await caches.keys().catch(() => [])) if (name.startsWith('studio-checkpoints')) await caches.delete(name);
    await openStorage();
  };
  try {
    const kept = await downloads();
    const files = await kept.list();
    const room = await kept.room();
    const names = files.map(({ name, bytes, isWhole }) => `${name}, ${megabytes(bytes)}${isWhole ? '' : ' so far'}`);
    const free = room === undefined ? '' : ` The browser offers ${megabytes(room)} more.`;
    stored.textContent = `${names.length === 0 ? 'No released model has been downloaded.' : `${names.join('; ')}.`}${free}`;
    if (files.length > 0) void kept.persist();
  } catch {
    stored.textContent = 'This browser keeps no files for this page: released models are read anew each time.';
  }
}
