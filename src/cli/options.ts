/** Options that several commands share. */

import { type Command, InvalidArgumentError } from 'commander';
import { POLICIES } from '../cache/policies/index.ts';
import type { CacheOptions, KvDtype, PolicyName } from '../cache/policy.ts';
import { printable } from '../tensor/show.ts';

/** A number, for commander; ranges are checked by the library, which names the option. */
export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value)) throw new InvalidArgumentError(`expected a number, got '${text}'`);
  return value;
}

/** What stands between commas. */
export function commaSeparated(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean);
}

export interface CacheFlags {
  readonly policy?: PolicyName;
  readonly budget?: number;
  readonly anchors?: number;
  readonly recent?: number;
  readonly summaries?: number;
  readonly scoreScope?: 'head' | 'layer';
  readonly kvDtype?: KvDtype;
}

export function addCacheOptions(command: Command): Command {
  return command
    .option(
      '--policy <name>',
      `what is remembered: ${Object.keys(POLICIES).join(', ')} (default: summary with --budget, else full)`,
    )
    .option('--budget <lines>', 'most lines of the image remembered, the one being drawn included', number)
    .option('--anchors <tokens>', "first tokens of the image never forgotten (default: the policy's)", number)
    .option('--recent <lines>', 'newest whole lines never forgotten (default: 1)', number)
    .option('--summaries <count>', "means of what was forgotten, out of the budget (default: the policy's)", number)
    .option('--score-scope <scope>', 'head: every KV head keeps its own tokens; layer: all the same (default: head)')
    .option('--kv-dtype <type>', 'storage of keys and values: f32, f16 or int8 (default: f16, f32 with --dtype f32)');
}

export function cacheOptions(flags: CacheFlags): CacheOptions {
  return defined({
    policy: flags.policy,
    budgetLines: flags.budget,
    anchorTokens: flags.anchors,
    summaries: flags.summaries,
    recentLines: flags.recent,
    scoreScope: flags.scoreScope,
    kvDtype: flags.kvDtype,
  });
}

/** Without the entries that are undefined. */
export function defined<T extends object>(record: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as never;
}

/** Where the hub is and who asks, as its own tools are told. */
export function hubEnvironment(): { readonly endpoint?: string; readonly token?: string } {
  return defined({ endpoint: process.env.HF_ENDPOINT || undefined, token: process.env.HF_TOKEN || undefined });
}

/** 12.3 MB */
export function megabytes(bytes: number): string {
  return bytes >= 1e9
    ? `${(bytes / 1e9).toFixed(2)} GB`
    : bytes >= 1e6
      ? `${(bytes / 1e6).toFixed(1)} MB`
      : `${(bytes / 1e3).toFixed(1)} kB`;
}

/** Columns as wide as their longest entry, the first to the left and the others to the right. */
export function table(cells: readonly (readonly string[])[]): string {
  const rows = cells.map((row) => row.map((cell) => printable(cell))); // names come from files
  const widths = (rows[0] ?? []).map((_, column) => rows.reduce((most, row) => Math.max(most, row[column]!.length), 0));
  return rows
    .map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '))
    .join('\n');
}
