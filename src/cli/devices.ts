import { Command } from 'commander';
import { listAdapters } from '#device';
import { megabytes } from './options.ts';

export function devicesCommand(): Command {
  return new Command('devices')
    .description('which drivers work on this machine, in the order of choice')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      '\nThe first usable one is taken; --driver or RASTERLINE_DRIVER asks for another.\n\nExample:\n  $ rasterline devices',
    )
    .action(async ({ json }: { json?: boolean }) => {
      const list = await listAdapters();
      if (json) return void console.log(JSON.stringify(list, undefined, 2));
      for (const entry of list) {
        const detail =
          entry.state === 'usable'
            ? `${entry.description} (bindings up to ${megabytes(entry.maxBindingBytes)}; ${entry.features.join(', ')})`
            : `not usable: ${entry.reason}`;
        console.log(`${entry.kind.padEnd(12)}${detail}`);
      }
    });
}
