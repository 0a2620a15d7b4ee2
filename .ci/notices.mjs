// Writes dist/NOTICES.txt: the licenses of the packages whose code esbuild has put into dist/browser*.js.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const META = 'dist/browser.meta.json';
const { inputs } = JSON.parse(readFileSync(META, 'utf8'));
const folders = Object.keys(inputs).map((file) => /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0]);
const notices = [...new Set(folders)].filter(Boolean).sort().map((folder) => {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
  if (!file) throw new Error(`${folder}: expected a LICENSE file, got none; add its text to the notices by hand`);
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
});
writeFileSync('dist/NOTICES.txt', `dist/browser*.js contain code of these packages.\n\n${notices.join(`\n${'-'.repeat(80)}\n\n`)}`);
rmSync(META);
