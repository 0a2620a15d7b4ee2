import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { failed, interruptible } from '../../src/cli/exit.ts';
import { table } from '../../src/cli/options.ts';
import { OptionError } from '../../src/tensor/errors.ts';
import { expectWritable, writeWhole } from '../../src/tensor/source/write-node.ts';

const PICTURE = new TextEncoder().encode('a picture');

describe('a file to write', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rasterline-write-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const written = async (name: string) => {
    await expectWritable(join(folder, name));
    await writeWhole(join(folder, name), PICTURE);
  };

  it('is made where there is none, and replaced with its permissions where there is one', async () => {
    await writeFile(join(folder, 'old.png'), 'old');
    await chmod(join(folder, 'old.png'), 0o600);

    for (const name of ['new.png', 'old.png', `${'x'.repeat(251)}.png`]) {
      await written(name);
      assert.equal(await readFile(join(folder, name), 'utf8'), 'a picture');
    }

    assert.equal((await stat(join(folder, 'old.png'))).mode & 0o777, 0o600);
    assert.equal((await readdir(folder)).length, 3);
  });

  it('is found through links, which stay, whether or not something is there', async () => {
    await writeFile(join(folder, 'target.png'), 'old');
    await symlink('target.png', join(folder, 'link.png'));
    await symlink('link.png', join(folder, 'far.png'));
    await symlink(join(folder, 'later.png'), join(folder, 'dangling.png'));

    for (const name of ['far.png', 'dangling.png']) {
      await written(name);
      assert.ok((await lstat(join(folder, name))).isSymbolicLink());
    }

    for (const name of ['target.png', 'later.png'])
      assert.equal(await readFile(join(folder, name), 'utf8'), 'a picture');
    await symlink('circle.png', join(folder, 'circle.png'));
    await assert.rejects(expectWritable(join(folder, 'circle.png')), OptionError);
  });

  (process.platform === 'linux' ? it : it.skip)(
    'that is a pipe or a device is written to, and stays what it is',
    async () => {
      const pipe = join(folder, 'pipe.png');
      execFileSync('mkfifo', [pipe]);
      const reader = readFile(pipe, 'utf8');

      await written('pipe.png');

      assert.equal(await reader, 'a picture');
      assert.ok((await lstat(pipe)).isFIFO());
      await symlink('/dev/null', join(folder, 'null.png'));
      await written('null.png');
      assert.ok((await stat('/dev/null')).isCharacterDevice());
    },
  );

  it('that cannot be written is an OptionError before anything is drawn, and leaves nothing', async () => {
    await mkdir(join(folder, 'folder.png'));
    const places = [
      '',
      folder,
      join(folder, 'folder.png'),
      join(folder, 'no', 'a.png'),
      join(folder, `${'x'.repeat(252)}.png`),
      'a\0b.png',
    ];
    const linux = ['/proc/a.png', '/proc/1/a.png', '/dev/full/a.png', '/sys/a.png', '/dev/full'];

    for (const place of [...places, ...(process.platform === 'linux' ? linux : [])])
      await assert.rejects(expectWritable(place), OptionError, place);

    assert.deepEqual(await readdir(folder), ['folder.png']);
    if (process.platform === 'linux')
      await assert.rejects(writeWhole('/dev/full', PICTURE), /OptionError: out: .*ENOSPC/);
    await assert.rejects(writeWhole(join(folder, 'no', 'a.png'), PICTURE), /^OptionError: out: expected .*: no folder/);
  });
});

describe('the end of a command', () => {
  it('comes in order by each signal that asks for it, with the exit code of the shell', () => {
    for (const [name, code] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
      ['SIGHUP', 129],
    ] as const) {
      const { signal } = interruptible();

      process.emit(name, name);

      assert.equal(failed(signal.reason, false), code);
      assert.equal(process.listenerCount(name), 0); // a second one is the system's
    }
  });

  it('is told in characters that no terminal acts upon, and so are tables, however long', () => {
    const names = Array.from({ length: 200_000 }, (_, i) => [`\x1b[31m${i}`, 'x']);

    const text = table(names);

    assert.ok(!text.includes('\x1b') && text.startsWith('\\u001b[31m0'));
  });
});
