import { Command } from 'commander';
import { planCache } from '../cache/policy.ts';
import { EMBEDDED_MODEL, modelDefinition } from '../models/registry.ts';
import { serve } from '../serve/index.ts';
import { type AtOnceFlags, addAtOnceOptions, imagesAtOnce } from './at-once.ts';
import { failed, interruptible } from './exit.ts';
import { addModelOptions, loadedAs, type ModelFlags } from './model-options.ts';
import { OpenedModel } from './opened-model.ts';
import { addCacheOptions, type CacheFlags, cacheOptions, defined, number } from './options.ts';

interface ServeFlags extends CacheFlags, ModelFlags, AtOnceFlags {
  readonly model: string;
  readonly port?: number;
  readonly host?: string;
  readonly queueImages?: number;
  readonly requestTimeout?: number;
  readonly clientTimeout?: number;
}

/** Images of a run where no one says it, and memory holds them. */
const AT_ONCE = 8;

export function serveCommand(): Command {
  const command = new Command('serve')
    .description("serve a model over HTTP in the form of OpenAI's images API")
    .option('--model <name>', 'preset; rasterline plan --all lists them', EMBEDDED_MODEL)
    .option('--port <number>', '0 takes any that is free (default: 8080)', number)
    .option('--host <address>', 'address to listen on (default: 127.0.0.1, this machine alone)')
    .option('--queue-images <count>', 'most images that wait; more are refused with 429 (default: 64)', number)
    .option('--request-timeout <seconds>', 'most seconds of a request, waiting included (default: 600)', number)
    .option('--client-timeout <seconds>', 'in which a client must send its request (default: 60)', number)
    .addHelpText(
      'after',
      `
With the variable RASTERLINE_TOKEN set, clients must send it as "Authorization: Bearer ...". SIGTERM and Ctrl-C end it
when what was asked for is drawn; a second one at once.

Examples:
  $ rasterline serve
  $ rasterline serve --model emoji --port 8080 --budget 4 --at-once 16
  $ curl http://127.0.0.1:8080/v1/images/generations -H 'Content-Type: application/json' -d '{"prompt": "tiger"}'`,
    );
  for (const add of [addModelOptions, addCacheOptions, addAtOnceOptions]) add(command);
  return command.action(run);
}

async function run(flags: ServeFlags): Promise<void> {
  const { driver, model: name, port, host, queueImages, requestTimeout, clientTimeout } = flags;
  const token = process.env.RASTERLINE_TOKEN || undefined;
  const [cache, loaded] = [cacheOptions(flags), loadedAs(flags)];
  planCache(cache, modelDefinition(name, loaded).grid);
  const { signal, release } = interruptible();
  const ended = new Promise<void>((end) => signal.addEventListener('abort', () => end()));
  try {
    using opened = await OpenedModel.open({ driver, name, loaded, signal });
    const atOnce = await imagesAtOnce(opened.model.runtime, flags.atOnce ?? AT_ONCE, { flags, name, cache, loaded });
    const inMs = (seconds?: number) => (seconds === undefined ? undefined : seconds * 1000);
    const timeouts = { requestTimeoutMs: inMs(requestTimeout), clientTimeoutMs: inMs(clientTimeout) };
    const server = await serve(opened.model, {
      ...defined({ port, host, token, queueImages, ...timeouts }),
      ...{ atOnce, cache },
      reload: (lost) => opened.reload(lost),
      onError: (error) => void failed(error, false),
    });
    console.log(`${name} at ${server.url}, ${atOnce} images at once`);
    if (!/^(127\.|localhost$|::1$)/.test(host ?? '127.0.0.1') && token === undefined)
      process.stderr.write('everyone who reaches this address may draw: set RASTERLINE_TOKEN to ask for a token\n');
    await ended;
    process.stderr.write('ending what was asked for\n');
    await server.close();
  } finally {
    release();
  }
}
