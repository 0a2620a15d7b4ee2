/** Tokens a second and bytes of the cache over the batch, a curve for each number of lines kept. */

import { parse, View } from 'vega';
import { compile } from 'vega-lite';

export interface BatchPoint {
  readonly images: number;
  readonly budgetLines: number;
  readonly tokensPerSecond: number;
  readonly kvBytes: number;
}

/** As SVG. */
export async function batchChart(points: readonly BatchPoint[]): Promise<string> {
  const pane = (field: string, title: string) => ({
    width: 320,
    height: 240,
    mark: { type: 'line' as const, point: true },
    encoding: {
      x: { field: 'images', type: 'quantitative' as const, title: 'images at once' },
      y: { field, type: 'quantitative' as const, title },
      color: { field: 'budgetLines', type: 'ordinal' as const, title: 'lines kept' },
    },
  });
  const { spec } = compile({
    data: { values: points.map((point) => ({ ...point, megabytes: point.kvBytes / 1e6 })) },
    hconcat: [pane('tokensPerSecond', 'tokens/s'), pane('megabytes', 'keys and values (MB)')],
  });
  return await new View(parse(spec), { renderer: 'none' }).toSVG();
}
