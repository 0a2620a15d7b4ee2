import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({ name, text: readFileSync(join('src', name), 'utf8') }));

const ENGINE = /^tensor\/[\w-]+\.ts$/;
/** What is said of wrong input, the same in every room. */
const WORDS = /^tensor\/(errors|options|checks|show|limits)\.ts$/;

/** What the files of a folder may import, the deepest folder first. Siblings are strangers. */
const MAY_IMPORT: readonly (readonly [folder: string, allowed: readonly RegExp[]])[] = [
  ['tensor/source/', [/^tensor\/source\//, WORDS]],
  ['tensor/device/', [/^tensor\/device\//, /^tensor\/source\/cache-folder-node\.ts$/, WORDS]],
  ['tensor/checkpoint/', [/^tensor\/(checkpoint|source)\//, WORDS, /^tensor\/(dtype|shape)\.ts$/]],
  ['tensor/', [ENGINE, /^tensor\/device\//, /^version\.ts$/]],
  ['kernels/', [/^kernels\//, ENGINE]],
  ['cache/', [/^cache\//, /^kernels\//, ENGINE]],
  ['models/', [/^models\//, /^kernels\//, /^tensor\//]],
];

/** Where the switches of package.json lead in Node. */
const ROOMS: Readonly<Record<string, string>> = {
  '#device': 'tensor/device/device-node.ts',
  '#source': 'tensor/source/source-node.ts',
  '#worker': 'worker/endpoint-node.ts',
};

function imports(name: string, text: string): string[] {
  const paths = [...text.matchAll(/(?:from |import\()'(\.[^']+|#device|#source|#worker)'/g)].map((match) => match[1]!);
  return paths.map((path) => ROOMS[path] ?? normalize(join(dirname(name), path)));
}

describe('house', () => {
  it('has folders that import only downwards', () => {
    for (const { name, text } of files) {
      const [, allowed] = MAY_IMPORT.find(([folder]) => name.startsWith(folder)) ?? [];
      if (!allowed) continue;
      for (const path of imports(name, text))
        assert.ok(
          allowed.some((pattern) => pattern.test(path)),
          `${name} imports ${path}`,
        );
    }
  });

  it('has families and policies that do not import each other', () => {
    for (const { name, text } of files) {
      const family = /^models\/(llamagen|janus|chameleon)\//.exec(name)?.[1];
      if (!family) continue;
      for (const path of imports(name, text)) {
        assert.ok(
          !/^models\/(llamagen|janus|chameleon)\//.test(path) || path.startsWith(`models/${family}/`),
          `${name} imports ${path}`,
        );
      }
    }
  });

  it('has no import cycle, not even of types', () => {
    const graph = new Map(files.map(({ name, text }) => [name, imports(name, text)]));
    const done = new Set<string>();
    const walk = (name: string, path: readonly string[]) => {
      if (done.has(name)) return;
      assert.ok(!path.includes(name), `cycle: ${[...path, name].join(' > ')}`);
      for (const next of graph.get(name) ?? []) walk(next, [...path, name]);
      done.add(name);
    };
    for (const name of graph.keys()) walk(name, []);
  });

  it('has files of at most 250 lines', () => {
    for (const { name, text } of files) {
      const lines = text.split('\n').length - 1;
      assert.ok(lines <= 250, `${name} has ${lines} lines`);
    }
  });

  it('waits nowhere in kernels and model forwards', () => {
    for (const { name, text } of files) {
      if (!/^kernels\/|^models\/.*\/(model|decoder|condition|definition|weights)\.ts$/.test(name)) continue;
      assert.ok(!/\b(async|await|Promise)\b/.test(text), name);
    }
  });

  it('has no room for servers in what a browser loads', () => {
    for (const { name, text } of files) {
      if (/^(cli|sample|serve)[./]/.test(name)) continue;
      for (const path of imports(name, text)) assert.ok(!/^(cli|sample|serve)\//.test(path), `${name} imports ${path}`);
    }
  });

  it('names GPU objects only in tensor', () => {
    for (const { name, text } of files) {
      if (!name.startsWith('tensor/')) assert.ok(!/\bGPU[A-Z]\w+/.test(text.replace(/\/\*[\s\S]*?\*\//g, '')), name);
    }
  });

  it('uses Node only in files that say so', () => {
    for (const { name, text } of files) {
      if (!/-node\.ts$|^(cli|sample|serve)/.test(name)) assert.ok(!/from 'node:|require\(|process\./.test(text), name);
    }
  });
});
