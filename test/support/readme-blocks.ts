import { readFileSync } from 'node:fs';

/** A block of code in the README: ```` ```js draw.mjs ```` has language js and mark draw.mjs. */
export interface ReadmeBlock {
  readonly language: string;
  /** What follows the language: a file name, or how the block is tested; '' for a plain one. */
  readonly mark: string;
  readonly text: string;
}

/** The blocks of a language, or of all, in order. */
export function readmeBlocks(language?: string): ReadmeBlock[] {
  const readme = readFileSync('README.md', 'utf8');
  const blocks = [...readme.matchAll(/^```(\w+) ?(.*)\n([\s\S]*?)^```$/gm)];
  return blocks
    .map(([, language = '', mark = '', text = '']) => ({ language, mark, text }))
    .filter((block) => language === undefined || block.language === language);
}
