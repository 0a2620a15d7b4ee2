import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode } from 'fast-png';
import { readRecipe } from '../../src/png.ts';
import { buildCli, CLI } from '../support/cli.ts';
import { goldenConfig } from '../support/trace.ts';

const ENVIRONMENT = { ...process.env, RASTERLINE_DRIVER: process.env.RASTERLINE_DRIVER ?? 'swiftshader' };

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the command to its end; `interruptAfter` sends Ctrl-C once stderr has that text. */
function rasterline(arguments_: readonly string[], interruptAfter?: string): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [CLI, ...arguments_], {
      env: ENVIRONMENT,
    });
    const text = { out: '', err: '' };
    let interrupted = false;
    child.stdout.on('data', (data) => (text.out += data));
    child.stderr.on('data', (data) => {
      text.err += data;
      if (!interrupted && interruptAfter && text.err.includes(interruptAfter)) interrupted = child.kill('SIGINT');
    });
    child.on('close', (code) => resolve({ code, ...text }));
  });
}

describe('the command line', function () {
  // whole pictures, on the slower of the software drivers
  this.timeout(300_000);
  let folder: string;
  before(async () => {
    await buildCli();
    folder = await mkdtemp(join(tmpdir(), 'rasterline-cli-'));
  });
  after(async () => {
    await rm(folder, { recursive: true });
  });

  it('helps, with examples, and ends with 0', async () => {
    for (const command of [[], ['generate'], ['compare'], ['inspect'], ['quantize'], ['plan'], ['devices'], ['tune']]) {
      const { code, out } = await rasterline([...command, '--help']);
      assert.equal(code, 0);
      assert.match(out, /Examples?:\n\s+\$ rasterline/);
    }
  });

  it('tells its version', async () => {
    const { version } = JSON.parse(await readFile('package.json', 'utf8'));
    assert.deepEqual(await rasterline(['--version']), { code: 0, out: `${version}\n`, err: '' });
  });

  it('ends wrong options with 2, in one line that says what was expected, and writes nothing', async () => {
    const out = join(folder, 'never.png');
    const wrong: readonly (readonly [readonly string[], RegExp])[] = [
      [
        ['generate', '--classes', '1', '--model', 'gpt-5'],
        /OptionError: model: expected one of llamagen-b-256, .*got gpt-5/,
      ],
      [
        ['generate', '--classes', '100000'],
        /OptionError: classes\[0\]: expected a whole number from 0 to 305, got 100000/,
      ],
      [['generate', '--classes', 'tigre'], /OptionError: classes: expected a class of the emoji model, got 'tigre'/],
      [['generate', '--classes', 'polar'], /did you mean .*polar_bear/],
      [['generate', '--classes', '1', '--budget', '2'], /OptionError: cache\.budgetLines: expected at least 3/],
      [['generate', '--classes', '1', '--temperature', '-1'], /OptionError: temperature: expected/],
      [['generate', '--classes', '1', '--seed', 'x'], /expected a number, got 'x'/],
      [['generate', '--classes', '1', '--driver', 'cuda'], /OptionError: driver: expected one of/],
      [
        ['generate', '--prompt', 'a cat', '--model', 'emoji'],
        /OptionError: classes: expected --classes <list> for emoji/,
      ],
      [['generate', '--classes', '1', '--size', '64x64'], /OptionError: size: expected none for emoji/],
      [['generate', '--prompt', 'x', '--size', '64'], /expected a size such as 768x768, got '64'/],
      [['generate', '--classes', '1', '--dtype', 'int3'], /OptionError: dtype: expected one of f32, f16, int8, int4/],
      [['generate', '--classes', '1', '--model', 'janus-pro-1b'], /OptionError: prompt: expected --prompt/],
      [['generate', '--classes', '1', '--model', 'llamagen-b-256'], /OptionError: checkpoint: expected a file/],
      [
        ['generate', '--classes', '1', '--out', join(folder, 'no/such/folder.png')],
        /OptionError: out: expected a file that can be written/,
      ],
      [
        ['generate', '--classes', '1', '--out', join(folder, 'a.jpg')],
        /OptionError: out: expected a file that ends in .png/,
      ],
      [['compare', '--classes', '1', '--policies', 'lru'], /OptionError: cache\.policy: expected one of full, /],
      [
        ['compare', '--classes', '1', '--windows', '0'],
        /OptionError: parallel\.window: expected a whole number from 1/,
      ],
      [
        ['compare', '--classes', '1', '--kv-dtypes', 'int4'],
        /OptionError: cache\.kvDtype: expected one of f32, f16, int8/,
      ],
      [['compare', '--classes', '1', '--budgets', '2'], /OptionError: cache\.budgetLines: expected at least 3/],
      [['compare', '--classes', '1', '--tokens', 'package.json'], /OptionError: tokens: expected a list of numbers/],
      [['compare', '--classes', '1', '--csv', 'package.json'], /OptionError: csv: expected a file that is not there/],
      [['plan', '--model', 'x'], /OptionError: model/],
      [['draw'], /unknown command 'draw'/],
    ];
    for (const [arguments_, text] of wrong) {
      const { code, err } = await rasterline(
        arguments_.includes('--out') || arguments_[0] !== 'generate' ? arguments_ : [...arguments_, '--out', out],
      );
      assert.equal(code, 2, `${arguments_.join(' ')}: ${err}`);
      assert.match(err, text);
      assert.ok(!/\n\s+at /.test(err), 'a stack trace');
    }
    assert.deepEqual(await readdir(folder), []);
  });

  it('ends damaged and foreign checkpoints with 1', async () => {
    const truncated = join(folder, 'truncated.safetensors');
    await writeFile(truncated, (await readFile('test/golden/llamagen-c2i/model.safetensors')).subarray(0, 5000));
    const out = join(folder, 'never.png');
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [['inspect', truncated], /FormatError: .*truncated\.safetensors/],
      [['generate', '--from', 'package.json', '--out', out], /FormatError: package\.json: expected a PNG, got/],
      [['inspect', 'package.json'], /FormatError: package\.json: expected a safetensors file or a torch zip/],
      [['inspect', join(folder, 'absent.pt')], /FormatError: .*absent\.pt: expected a readable file, got no such file/],
      [
        ['generate', '--classes', '1', '--checkpoint', 'test/golden/llamagen-c2i/model.safetensors', '--out', out],
        /FormatError: .*expected \[512, 256\], got \[256, 64\]/,
      ],
    ];
    for (const [arguments_, text] of cases) {
      const { code, err } = await rasterline(arguments_);
      assert.equal(code, 1, err);
      assert.match(err, text);
    }
    await rm(truncated);
    assert.deepEqual(await readdir(folder), []);
  });

  it('says with --debug where an error was thrown', async () => {
    const { err } = await rasterline(['--debug', 'plan', '--model', 'x']);
    assert.match(err, /\n\s+at /);
  });

  it('tells what is in a checkpoint', async () => {
    const { out } = await rasterline(['inspect', 'checkpoints/emoji/gpt.safetensors']);
    assert.match(out, /tok_embeddings\.weight\s+\[512, 256\]\s+f16/);
    assert.match(out, /fits: emoji/);
    const { out: json } = await rasterline(['inspect', '--json', 'test/golden/llamagen-vq/model.safetensors']);
    assert.equal(JSON.parse(json).format, 'safetensors');
  });

  it('tells what quantizing the embedded checkpoint would cost, in weights and in logits', async () => {
    const { code, out } = await rasterline(['inspect', '--quantize', 'int4', '--lines', '1']);
    assert.equal(code, 0);
    const relative = [...out.matchAll(/^layers\.\d+\.\S+ .* int4 .* ([\d.]+) %/gm)].map((match) => Number(match[1]));
    assert.equal(relative.length, 30);
    // a uniform error of a step of 1 / 7 of the largest of 32: between a normal and a flat spread of weights
    assert.ok(relative.every((error) => error > 4 && error < 15));
    assert.match(out, /30 matrices: mean [\d.]+ %/);
    assert.match(out, /logits of emoji in int4 against f16, 16 tokens of 1 lines: divergence 0\.\d+ on average/);
    const wrong = await rasterline(['inspect', '--quantize', 'int3']);
    assert.equal(wrong.code, 2);
    assert.match(wrong.err, /quantize: expected int8 or int4, got int3/);
    const lines = await rasterline(['inspect', '--quantize', 'int4', '--lines', '17']);
    assert.match(lines.err, /lines: expected a whole number from 1 to 16, got 17/);
    const model = await rasterline(['inspect', '--quantize', 'int4', '--model', 'llamagen-b-256']);
    assert.equal(model.code, 2);
    assert.match(
      model.err,
      /model: expected one that .*gpt\.safetensors fits \(emoji, emoji-text\), got llamagen-b-256/,
    );
  });

  it('tells what quantizing a checkpoint of no preset would cost, without a GPU', async () => {
    const { code, out } = await rasterline([
      'inspect',
      '--quantize',
      'int8',
      '--json',
      'test/golden/llamagen-c2i/model.safetensors',
    ]);
    assert.equal(code, 0);
    const { errors, total, model, divergence } = JSON.parse(out);
    assert.equal(errors.length, 3 * 5);
    assert.equal(errors[1].name, 'layers.0.attention.wqkv.weight');
    // a uniform error of a step of 1 / 127 of the largest of 32
    for (const { relative } of errors) assert.ok(relative > 0.002 && relative < 0.008);
    const sum = (pick: (error: { bytes: number }) => number) =>
      errors.reduce((all: number, e: never) => all + pick(e), 0);
    assert.equal(
      total.bytes,
      sum(({ bytes }) => bytes),
    );
    assert.deepEqual([model, divergence], [undefined, undefined]);
  });

  it('quantizes a checkpoint into a file that is read like any other, and leaves nothing of one it cannot write', async () => {
    const out = join(folder, 'emoji-int4.safetensors');
    const { code, out: json, err } = await rasterline(['quantize', '--dtype', 'int4', '--out', out, '--json']);
    assert.equal(code, 0, err);
    const { bytes, ...about } = JSON.parse(json);
    assert.deepEqual(about, { file: out, model: 'emoji', part: 'checkpoint', dtype: 'int4', layers: 24 });
    assert.equal((await readFile(out)).length, bytes);
    assert.match((await rasterline(['inspect', out])).out, /rasterline\.dtype: int4\n.*\nfits: emoji \(checkpoint\)/);
    const loaded = await rasterline([
      'generate',
      '--driver',
      'null',
      '--classes',
      '1',
      '--checkpoint',
      out,
      '--out',
      join(folder, 'x.png'),
    ]);
    assert.equal(loaded.code, 0, loaded.err);
    await rm(join(folder, 'x.png'));
    const wrong: readonly (readonly [readonly string[], RegExp])[] = [
      [['quantize', '--dtype', 'int3', '--out', out], /dtype: expected int8 or int4, got int3/],
      [
        ['quantize', '--dtype', 'int8', '--out', join(folder, 'x.bin')],
        /out: expected a file that ends in \.safetensors/,
      ],
      [
        ['quantize', out, '--dtype', 'int4', '--out', join(folder, 'x.safetensors')],
        /expected weights in float, got int4/,
      ],
      [['inspect', '--quantize', 'int4', out], /expected weights in float, got int4/],
    ];
    for (const [arguments_, text] of wrong) {
      const ended = await rasterline(arguments_);
      assert.equal(ended.code, 2, ended.err);
      assert.match(ended.err, text);
    }
    await rm(out);
    assert.deepEqual(await readdir(folder), []);
  });

  it('takes a model of any size by a file of its family and config, and says which tensor is of another size', async () => {
    const model = join(folder, 'tiny.json');
    const config = goldenConfig('llamagen-c2i');
    await writeFile(model, JSON.stringify({ family: 'llamagen', config }));
    const whole = 'test/golden/llamagen-c2i/model.safetensors';
    const checkpoint = join(folder, 'tiny-int8.safetensors');
    const to = ['--dtype', 'int8', '--out', checkpoint, '--json'];
    const { code, out: json, err } = await rasterline(['quantize', whole, '--model', model, ...to]);
    assert.equal(code, 0, err);
    assert.equal(JSON.parse(json).layers, 12);
    const of = ['--driver', 'null', '--model', model, '--checkpoint', checkpoint];
    const png = join(folder, 'tiny.png');
    const vq = ['--vq', 'test/golden/llamagen-vq/model.safetensors'];
    const drawn = await rasterline(['generate', ...of, ...vq, '--classes', '1', '--out', png]);
    assert.equal(drawn.code, 0, drawn.err);
    const recipe = readRecipe(await readFile(png), png);
    assert.equal((recipe.model as { family: string }).family, 'llamagen');
    const text = await rasterline(['tune', '--driver', 'null', '--model', 'emoji-text', '--text-encoder', png]);
    assert.match(text.err, /tiny\.png: expected/);
    await writeFile(model, JSON.stringify({ family: 'llamagen', config: { ...config, width: 128 } }));
    const wrong = await rasterline(['quantize', whole, '--model', model, ...to]);
    assert.equal(wrong.code, 1);
    assert.match(wrong.err, /expected \[\d+, 128\], got \[\d+, 64\]/);
    for (const file of [model, checkpoint, png]) await rm(file);
  });

  it('says what of a plan fits, as flags', async () => {
    const planned = async (...more: string[]) =>
      (await rasterline(['plan', '--model', 'janus-pro-7b', '--batch', '8', ...more])).out.trim().split('\n').at(-1);
    assert.match(
      (await planned('--memory', '8GB'))!,
      /: needs 18.66 GB in all; fits: --batch 8 --dtype int4 --kv-dtype int8$/,
    );
    assert.match((await planned('--memory', '1MB'))!, /; nothing fits$/);
    assert.match((await planned('--fit', '--driver', 'null'))!, /: fits$/);
  });

  it('plans keys and values in proportion to the budget', async () => {
    const planned = async (more: readonly string[]) =>
      JSON.parse((await rasterline(['plan', '--json', '--model', 'llamagen-xl-384', ...more])).out);
    const [full, some] = [await planned([]), await planned(['--budget', '6'])];
    assert.equal(full.visualKvBytes, 2 * 36 * 2 * 576 * 1280 * 2); // K and V, layers, rows, tokens, width, bytes
    assert.equal(some.visualKvBytes, full.visualKvBytes / 4);
  });

  it('draws an emoji by name into a PNG, and the same again from that PNG, killed on the way and gone on with', async () => {
    const [out, journal] = [join(folder, 'tiger.png'), join(folder, 'run.json')];
    const { code, err } = await rasterline([
      'generate',
      '--classes',
      'tiger',
      '--budget',
      '4',
      '--kv-dtype',
      'int8',
      '--guidance',
      '1',
      '--first-image',
      '3',
      '--out',
      out,
    ]);
    assert.equal(code, 0, err);
    assert.match(err, /tokens\/s, KV .* dispatches\/token/);
    const { width, height, channels } = decode(await readFile(out));
    assert.deepEqual([width, height, channels], [64, 64, 3]);

    const again = join(folder, 'again.png');
    const drawing = ['generate', '--from', out, '--out', again, '--journal', journal];
    const child = spawn(process.execPath, [CLI, ...drawing], { env: ENVIRONMENT });
    const linesKnown = async () =>
      (await readFile(journal, 'utf8').then(JSON.parse, () => undefined))?.tokens[0]?.length;
    while (!((await linesKnown()) >= 48) && child.exitCode === null) await new Promise((wake) => setTimeout(wake, 20));
    child.kill('SIGKILL');
    await once(child, 'close');
    assert.ok((await linesKnown()) >= 48);
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.endsWith('.png')),
      ['tiger.png'],
    );
    const third = await rasterline(['generate', '--resume', journal]);
    assert.equal(third.code, 0, third.err);
    assert.deepEqual(await readFile(again), await readFile(out));
    const other = await rasterline(['generate', '--resume', journal, '--seed', '2']);
    assert.match(other.err, /^OptionError: resume: expected no other option that says what is drawn, got seed/);
    for (const file of [out, again, journal]) await rm(file);
  });

  it('draws from words with the embedded model, and refuses more of them than it reads', async () => {
    const out = join(folder, 'cake.png');
    const draw = ['generate', '--driver', 'null', '--prompt', 'birthday cake', '--out', out];
    const { code, err } = await rasterline(draw);
    assert.equal(code, 0, err);
    const { model, prompt } = readRecipe(await readFile(out));
    assert.deepEqual([model, prompt], ['emoji-text', { prompts: ['birthday cake'] }]);
    await rm(out);
    const long = await rasterline(['generate', '--prompt', 'cake '.repeat(40), '--out', out]);
    assert.equal(long.code, 2);
    assert.match(long.err, /OptionError: prompts\[0\]: expected 1 to 24 tokens, got \d+/);
  });

  it('samples into a folder and an .npz, draws only what is missing, and refuses a folder of other settings', async () => {
    const out = join(folder, 'samples.npz');
    const sample = ['sample', '--driver', 'null', '--images', '5', '--classes', '3,7', '--at-once', '2', '--out', out];
    const first = await rasterline(sample);
    assert.equal(first.code, 0, first.err);
    assert.match(first.err, /5 drawn, 0 were there/);
    const names = (await readdir(`${out}.images`)).sort();
    assert.deepEqual(names, ['000000.png', '000001.png', '000002.png', '000003.png', '000004.png', 'sample.json']);
    const whole = await readFile(out);
    const { prompt, sampling } = readRecipe(await readFile(join(`${out}.images`, names[3]!)));
    assert.deepEqual([prompt, sampling.firstImage], [{ classes: [7] }, 3]);
    await rm(join(`${out}.images`, names[3]!));
    assert.match((await rasterline(sample)).err, /1 drawn, 4 were there/);
    assert.equal((await readFile(out)).length, whole.length);
    const other = await rasterline([...sample, '--seed', '1']);
    assert.equal(other.code, 2);
    assert.match(other.err, /^.*OptionError: out: expected a folder of these settings/s);
    const taken = await rasterline([
      'sample',
      '--driver',
      'null',
      '--images',
      '1',
      '--classes',
      '3',
      '--out',
      join(out, 'x'),
    ]);
    assert.equal(taken.code, 2);
    assert.match(taken.err, /OptionError: out: expected a folder/);
    await rm(out);
    await rm(`${out}.images`, { recursive: true });
  });

  it('leaves nothing behind when interrupted, and ends with 130', async () => {
    await mkdir(join(folder, 'interrupted'));
    const { code, err } = await rasterline(
      ['generate', '--classes', '1,2,3,4', '--out', join(folder, 'interrupted/out.png')],
      'swiftshader:',
    );
    assert.equal(code, 130, err);
    assert.deepEqual(await readdir(join(folder, 'interrupted')), []);
  });
});
