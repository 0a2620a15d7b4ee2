import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A name that the package exports, as its declaration has it. */
export interface PublicName {
  readonly name: string;
  /** What it is imported from. */
  readonly entry: string;
  readonly kind: string;
  /** The docstring without its asterisks; '' where there is none. */
  readonly doc: string;
  readonly isError: boolean;
}

/** Every name of the package and of its parts with names of their own. Throws for one whose declaration is not found. */
export function publicNames(): PublicName[] {
  const own = declared('serve', 'src/serve/index.ts');
  return [
    ...namesOf('rasterline', 'src/index.ts'),
    ...namesOf('rasterline/worker', 'src/worker.ts'),
    { ...own, entry: 'rasterline/serve' },
  ];
}

function namesOf(entry: string, index: string): PublicName[] {
  const text = readFileSync(index, 'utf8');
  return [...text.matchAll(/^export (?:type )?\{([^}]+)\} from '([^']+)';/gm)].flatMap(([, names, file]) =>
    names!
      .split(',')
      .map((name) => name.replace(/\btype\b/, '').trim())
      .filter(Boolean)
      .map((name) => ({ ...declared(name, join('src', file!)), entry })),
  );
}

function declared(name: string, file: string): Omit<PublicName, 'entry'> {
  const text = readFileSync(file, 'utf8');
  const again = new RegExp(
    `^export type \\{[^}]*\\b${name}\\b[^}]*\\} from '([^']+)'|^import .*\\b${name}\\b.* from '([^']+)'`,
    'm',
  );
  const declaration = new RegExp(
    `^export (?:async )?(function\\*?|class|const|interface|type) ${name}\\b(.*)$`,
    'm',
  ).exec(text);
  if (!declaration) {
    const elsewhere = again.exec(text);
    if (!elsewhere) throw new Error(`${name}: expected its declaration in ${file}`);
    return declared(name, join(file, '..', (elsewhere[1] ?? elsewhere[2])!));
  }
  const before = text.slice(0, declaration.index);
  const comment = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n$/.exec(before)?.[1] ?? '';
  const [, keyword = '', rest = ''] = declaration;
  const kind = keyword.replace('*', '');
  return {
    name,
    kind,
    doc: comment.replace(/^ \* ?/gm, '').trim(),
    isError: /extends \w+Error\b|extends Error\b/.test(rest),
  };
}

/** The code after `@example`, or undefined. */
export function exampleOf({ doc }: PublicName): string | undefined {
  return /@example\n([\s\S]*)$/.exec(doc)?.[1];
}
