import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { SampleFolder } from '../../../src/sample/sample-folder.ts';
import { draftBeside } from '../../../src/tensor/source/drafts-node.ts';
import { writeWhole } from '../../../src/tensor/source/write-node.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

describe('what a killed process left half-written', () => {
  const folder = temporaryFolder(beforeEach, afterEach);

  const ended = spawnSync('true').pid;
  const own = async () => basename(await draftBeside(join(tmpdir(), 'x')));
  const byAnother = async () => (await own()).replace(`-${process.pid}-`, `-${ended}-`);
  const elsewhere = async () => (await own()).replace(/[0-9a-f]{8}/, '00000000');
  const leave = async (name: string, ageHours: number) => {
    const path = join(folder(), name);
    await writeFile(path, 'half');
    const seconds = Date.now() / 1000 - 3600 * ageHours;
    await utimes(path, seconds, seconds);
    return name;
  };

  it('is removed by the next that writes there: of this machine at once, of others after a day; what lives stays', async () => {
    for (const [name, hours] of [
      [await byAnother(), 0],
      [await elsewhere(), 25],
    ] as const)
      await leave(name, hours);
    await mkdir(join(folder(), await byAnother(), 'of a folder'), { recursive: true });
    const stays = [
      await leave(await own(), 23),
      await leave(await elsewhere(), 23),
      await leave('x.png.part', 25),
      await leave(`x${await byAnother()}`, 25),
    ];

    await writeWhole(join(folder(), 'x.png'), Buffer.from('whole'));

    assert.deepEqual((await readdir(folder())).sort(), [...stays, 'x.png'].sort());
  });

  it('is removed when a folder of samples is opened, though all of them are there', async () => {
    await SampleFolder.open(folder(), {});
    await leave(await byAnother(), 0);

    await SampleFolder.open(folder(), {});

    assert.deepEqual(await readdir(folder()), ['sample.json']);
  });
});
