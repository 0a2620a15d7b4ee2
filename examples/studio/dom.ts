/** The page's elements, by the ids of index.html. */

export function element<T extends HTMLElement = HTMLElement>(selector: string): T {
  const found = document.querySelector<T>(selector);
  if (!found) throw new Error(`index.html: expected ${selector}, got none`);
  return found;
}

/** An element with what is in it. */
export function made<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  fields: Partial<HTMLElementTagNameMap[K]>,
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const one = Object.assign(document.createElement(tag), fields);
  one.append(...children);
  return one;
}

export function megabytes(bytes: number): string {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

/** A file for the user to keep. */
export function download(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  made('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
