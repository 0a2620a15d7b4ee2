/** A prompt of any family as what it is: a list with one entry an image, and what is said of all of them. */

const LISTS = ['classes', 'prompts', 'promptTokens', 'captions'] as const;

/** How many images a prompt asks for; 0 for what is no prompt, which a model refuses in its own words. */
export function imagesOf(prompt: object): number {
  return listOf(prompt)?.[1].length ?? 0;
}

/**
 * The prompt of some images of a batch, by their places in it.
 *
 * @example promptOf({ prompts: ['a cat', 'a dog'], width: 768 }, [1]) // { prompts: ['a dog'], width: 768 }
 */
export function promptOf<Prompt extends object>(prompt: Prompt, images: readonly number[]): Prompt {
  const [name, list] = listOf(prompt) ?? [];
  return name && list ? { ...prompt, [name]: images.map((image) => list[image]) } : prompt;
}

/** Prompts that say the same of their images, as one of all of them. */
export function joined(prompts: readonly object[]): object {
  const [first = {}] = prompts;
  const [name] = listOf(first) ?? [];
  return name ? { ...first, [name]: prompts.flatMap((prompt) => listOf(prompt)?.[1] ?? []) } : first;
}

/** A prompt with each of its entries `times` times, one after the other. */
export function repeated<Prompt>(prompt: Prompt, times = 1): Prompt {
  const images = Array.from({ length: imagesOf(prompt as object) * times }, (_, image) => Math.floor(image / times));
  return promptOf(prompt as object, images) as Prompt;
}

function listOf(prompt: object): readonly [name: string, list: readonly unknown[]] | undefined {
  const lists = prompt as Readonly<Record<string, unknown>>;
  for (const name of LISTS) {
    const list = Object.hasOwn(lists, name) ? lists[name] : undefined;
    if (Array.isArray(list)) return [name, list];
  }
  return undefined;
}
