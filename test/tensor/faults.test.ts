import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Faults } from '../../src/tensor/faults.ts';

/** A device that is lost when it is told to. */
function losable(): { readonly device: GPUDevice; lose(): void } {
  let lose = () => {};
  const lost = new Promise<object>((resolve) => {
    lose = () => resolve({ reason: 'unknown', message: 'gone' });
  });
  return { device: { lost } as unknown as GPUDevice, lose };
}

describe('waiting for a device', () => {
  it('ends with what was waited for, or with the loss, at once', async () => {
    const { device, lose } = losable();
    const faults = new Faults(device);
    const isLoss = /^DeviceError: device: expected it to stay, lost it \(unknown\): gone/;
    assert.equal(await faults.orLost(Promise.resolve(7)), 7);
    await assert.rejects(faults.orLost(Promise.reject(new Error('refused'))), /refused/);

    const waiting = assert.rejects(faults.orLost(new Promise(() => undefined)), isLoss);
    lose();
    await waiting;

    await assert.rejects(faults.orLost(Promise.resolve(7)), isLoss);
  });

  it('holds nothing of what has ended', async () => {
    setFlagsFromString('--expose-gc');
    const collect: () => void = runInNewContext('gc');
    const { device } = losable();
    const faults = new Faults(device);
    const brought = new WeakRef(await faults.orLost(Promise.resolve({ bytes: new Uint8Array(8) })));
    await new Promise((later) => setImmediate(later)); // what a job has touched lives to its end

    collect();

    assert.equal(brought.deref(), undefined);
    assert.equal(faults.isLost, false); // they are still in use
  });
});
