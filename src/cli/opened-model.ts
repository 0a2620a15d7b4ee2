/** A model on a device, which both can be opened again. */

import type { ImageModel } from '../models/image-model.ts';
import { type LoadModelOptions, loadModel } from '../models/load-model.ts';
import { checkModel, type FamilyModel, type Prompt } from '../models/registry.ts';
import type { Driver } from '../tensor/device/adapter.ts';
import type { DeviceError } from '../tensor/errors.ts';
import { Runtime } from '../tensor/runtime.ts';
import { hubEnvironment } from './options.ts';
import { type Progress, progressBar } from './progress.ts';

export interface WhichModel {
  readonly driver: Driver;
  readonly name: string | FamilyModel;
  /** How it is loaded, as `--dtype`, `--checkpoint` and the like say. */
  readonly loaded: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export class OpenedModel {
  private constructor(
    private readonly which: WhichModel,
    /** Of shaders, which are compiled while the first run is recorded: to be stopped at its first line. */
    readonly compiling: Progress,
    public model: ImageModel<Prompt>,
  ) {}

  /** Opens a device, which it names on stderr, and loads; with progress. */
  static async open(which: WhichModel): Promise<OpenedModel> {
    const compiling = progressBar('compiling');
    return new OpenedModel(which, compiling, await load(which, compiling));
  }

  /** After a loss: says so, and loads again on another device. */
  async reload({ message }: DeviceError): Promise<ImageModel<Prompt>> {
    process.stderr.write(`${message.split(';')[0]}; loading again\n`);
    this.dispose();
    this.model = await load(this.which, this.compiling);
    return this.model;
  }

  dispose(): void {
    const { model } = this;
    model.dispose();
    model.runtime.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

async function load({ driver, name, loaded, signal }: WhichModel, compiling: Progress): Promise<ImageModel<Prompt>> {
  const [loading, download] = [progressBar('loading'), progressBar('download')];
  const runtime = await Runtime.open({
    driver,
    onCompile: ({ compiled, asked, kernel }) => compiling.update(compiled, asked, kernel),
  });
  process.stderr.write(`${runtime.description}\n`);
  try {
    return await loadModel(runtime, checkModel(name), {
      ...(loaded as LoadModelOptions),
      ...hubEnvironment(),
      onProgress: ({ loadedBytes, totalBytes }) => loading.update(loadedBytes, totalBytes),
      onDownload: ({ loadedBytes, totalBytes }) => download.update(loadedBytes, totalBytes),
      signal,
    });
  } catch (error) {
    runtime.dispose();
    throw error;
  } finally {
    loading.stop();
    download.stop();
  }
}
