/** The files that `rasterline compare` writes. */

import { stat } from 'node:fs/promises';
import { extname } from 'node:path';
import type { Comparison, Comparisons } from '../compare.ts';
import { encodePng } from '../png.ts';
import { OptionError } from '../tensor/errors.ts';
import { expectWritable, writeWhole } from '../tensor/source/write-node.ts';
import { openChart } from './divergence-chart.ts';
import { megabytes } from './options.ts';
import { contactSheet } from './sheet.ts';

export interface OutputFlags {
  readonly csv?: string;
  readonly sheet?: string;
  readonly chart?: string;
}

/** Lines of the image, and what was measured. */
export interface Measured extends Comparisons {
  readonly lines: number;
}

/**
 * Finds the packages and the place of every file that is asked for, and gives what writes them.
 *
 * Throws OptionError for a package that is not installed, and for a file that is there, has another suffix or cannot be
 * written.
 */
export async function openOutputs({ csv, sheet, chart }: OutputFlags): Promise<(measured: Measured) => Promise<void>> {
  const outputs: { readonly path: string; readonly bytes: (measured: Measured) => Promise<Uint8Array> }[] = [];
  if (csv !== undefined)
    outputs.push({ path: await free('csv', csv), bytes: async (measured) => utf8(asCsv(measured)) });
  if (sheet !== undefined)
    outputs.push({ path: await free('sheet', sheet, '.png'), bytes: async (measured) => asSheet(measured) });
  if (chart !== undefined) {
    const draw = await openChart();
    const points = ({ settings, lines }: Measured) =>
      settings.map(({ cache, parallel, kvBytes, divergence }) => {
        const { policy, budgetLines } = named(cache, lines);
        const curve = parallel ? `${policy}, window ${parallel.window}` : policy;
        return { policy: curve, budgetLines, kvBytes, divergence };
      });
    outputs.push({
      path: await free('chart', chart, '.svg'),
      bytes: async (measured) => utf8(await draw(points(measured))),
    });
  }
  return async (measured) => {
    for (const { path, bytes } of outputs) await writeWhole(path, await bytes(measured));
  };
}

/** The path, where it can be written to and no file is: a measurement does not replace another. Throws OptionError. */
export async function free(option: string, path: string, suffix?: string): Promise<string> {
  if (suffix && extname(path).toLowerCase() !== suffix)
    throw new OptionError(`${option}: expected a file that ends in ${suffix}, got ${path}`);
  const there = await stat(path).catch(() => undefined);
  if (there?.isFile())
    throw new OptionError(`${option}: expected a file that is not there yet, got ${path}; remove it, or name another`);
  await expectWritable(path);
  return path;
}

const HEADER = [
  ...['policy', 'lines', 'window', 'KL (nats/token)', 'same choice', 'bits/token', 'tokens as full', 'KV', 'ms/token'],
  'eviction',
];

/** The full cache, and each setting beside it. */
export function asTable({ full, settings, lines }: Measured): string[][] {
  const first = ['full', `${lines}`, '-', '0', '1.000', full.bitsPerToken.toFixed(3), '1.000'];
  return [
    HEADER,
    [...first, megabytes(full.kvBytes), full.msPerToken.toFixed(1), '0 %'],
    ...settings.map((one) => {
      const { policy, budgetLines } = named(one.cache, lines);
      return [
        ...[
          policy,
          `${budgetLines}`,
          `${one.parallel?.window ?? '-'}`,
          one.divergence.toPrecision(3),
          one.sameChoice.toFixed(3),
        ],
        ...[one.bitsPerToken.toFixed(3), one.freeAgreement.toFixed(3), megabytes(one.kvBytes)],
        ...[one.msPerToken.toFixed(1), `${(100 * one.evictionShare).toFixed(1)} %`],
      ];
    }),
  ];
}

/** The figures alone: no pixels, no tokens. */
export function asJson({ full: { images: _, ...full }, settings }: Measured): string {
  return JSON.stringify({ full, settings: settings.map(({ images: _, ...figures }) => figures) }, undefined, 2);
}

/** With all digits, and bytes as bytes. */
function asCsv({ full, settings, lines }: Measured): string {
  const header = [
    ...[
      'policy',
      'budgetLines',
      'window',
      'divergence',
      'sameChoice',
      'bitsPerToken',
      'freeAgreement',
      'kvBytes',
      'msPerToken',
    ],
    'evictionShare',
  ] as const;
  const whole = {
    policy: 'full',
    budgetLines: lines,
    window: '',
    divergence: 0,
    sameChoice: 1,
    freeAgreement: 1,
    ...full,
  };
  const rows = [
    whole,
    ...settings.map((one) => ({ ...one, ...named(one.cache, lines), window: one.parallel?.window ?? '' })),
  ];
  return [header, ...rows.map((row) => header.map((name) => row[name]))]
    .map((cells) => `${cells.join(',')}\n`)
    .join('');
}

function asSheet({ full, settings, lines }: Measured): Uint8Array {
  const row = ({ images }: Pick<Comparison, 'images'>, keptLines: number) => ({ images, keptLines, lines });
  return encodePng(
    contactSheet([row(full, lines), ...settings.map((one) => row(one, named(one.cache, lines).budgetLines))]),
  );
}

/** The policy by name, with what keys and values are stored in where that is said, and its budget. */
export function named(
  { policy = 'summary', budgetLines, kvDtype }: Comparison['cache'],
  lines: number,
): { readonly policy: string; readonly budgetLines: number } {
  const name = typeof policy === 'string' ? policy : policy.name;
  return { policy: kvDtype === undefined ? name : `${name}-${kvDtype}`, budgetLines: budgetLines ?? lines };
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
