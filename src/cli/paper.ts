/** The memory that the paper reports, beside what a run of ours needs. Source: arXiv 2512.04857, the table of efficiency. */

import { plan } from '../plan.ts';
import { megabytes, table } from './options.ts';

interface PaperRow {
  readonly model: string;
  readonly batch: number;
  /** Lines of the image kept: the paper's share of the tokens, in whole lines. */
  readonly budgetLines: number;
  /** GB of the whole process on an A100-class GPU with PyTorch: with all tokens cached, and with LineAR. */
  readonly full: number;
  readonly kept: number;
}

const PAPER_ROWS: readonly PaperRow[] = [
  { model: 'llamagen-xl-384', batch: 256, budgetLines: 6, full: 64.75, kept: 25.51 },
  { model: 'llamagen-xl-384', batch: 256, budgetLines: 4, full: 64.75, kept: 20.97 },
  { model: 'llamagen-xxl-384', batch: 128, budgetLines: 6, full: 51.37, kept: 19.54 },
  { model: 'llamagen-xxl-384', batch: 128, budgetLines: 4, full: 51.37, kept: 15.87 },
  { model: 'janus-pro-1b', batch: 128, budgetLines: 6, full: 58.68, kept: 37.04 },
  { model: 'janus-pro-1b', batch: 128, budgetLines: 4, full: 58.68, kept: 34.64 },
  { model: 'janus-pro-7b', batch: 64, budgetLines: 6, full: 74.01, kept: 47.59 },
  { model: 'janus-pro-7b', batch: 64, budgetLines: 4, full: 74.01, kept: 44.66 },
  { model: 'lumina-mgpt-768', batch: 12, budgetLines: 8, full: 55.48, kept: 21.43 },
  { model: 'lumina-mgpt-768', batch: 12, budgetLines: 6, full: 55.48, kept: 19.64 },
  { model: 'lumina-mgpt-1024', batch: 8, budgetLines: 8, full: 62.95, kept: 20.5 },
];

/** Both columns of every row, as a table. */
export async function paperTable(): Promise<string> {
  const rows = await Promise.all(
    PAPER_ROWS.map(async ({ model, batch, budgetLines, full, kept }) => {
      const ours = async (cache: { readonly budgetLines?: number }) => (await plan(model, { batch, cache })).totalBytes;
      const [all, some] = [await ours({}), await ours({ budgetLines })];
      const { lines } = await plan(model);
      return [
        model,
        String(batch),
        `${budgetLines} of ${lines}`,
        `${full.toFixed(2)} GB`,
        megabytes(all),
        `${kept.toFixed(2)} GB`,
        megabytes(some),
        `${(full / kept).toFixed(2)} x`,
        `${(all / some).toFixed(2)} x`,
      ];
    }),
  );
  const header = ['model', 'batch', 'lines', 'paper full', 'ours', 'paper LineAR', 'ours', 'paper saves', 'ours'];
  return table([header, ...rows]);
}
