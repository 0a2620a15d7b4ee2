/** Divergence over bytes, a curve a policy: the cost of forgetting at a glance. */

import { optionalPackages } from './optional-packages.ts';

export interface ChartPoint {
  readonly policy: string;
  readonly budgetLines: number;
  readonly kvBytes: number;
  /** KL from the full cache, nats a token. */
  readonly divergence: number;
}

/** Draws points as SVG. */
export type ChartWriter = (points: readonly ChartPoint[]) => Promise<string>;

/** Loads what draws charts. Throws OptionError where it is not installed. */
export async function openChart(): Promise<ChartWriter> {
  const [{ compile }, { parse, View }] = await optionalPackages('chart', ['vega', 'vega-lite'], () =>
    Promise.all([import('vega-lite'), import('vega')]),
  );
  return async (points) => {
    const policies = [...new Set(points.map(({ policy }) => policy))];
    const { spec } = compile({
      width: 480,
      height: 320,
      // a logarithm has no place for those that lose nothing, as with a budget of all lines
      data: { values: points.filter(({ divergence }) => divergence > 0).map((point) => ({ ...point })) },
      transform: [{ calculate: 'datum.kvBytes / 1e6', as: 'megabytes' }],
      encoding: {
        x: { field: 'megabytes', type: 'quantitative', title: 'keys and values (MB)' },
        y: {
          field: 'divergence',
          type: 'quantitative',
          scale: { type: 'log' },
          title: 'KL from the full cache (nats a token)',
        },
        color: { field: 'policy', type: 'nominal', scale: { domain: policies } },
      },
      layer: [
        { mark: { type: 'line', point: true } },
        { mark: { type: 'text', dy: -9 }, encoding: { text: { field: 'budgetLines', type: 'quantitative' } } },
      ],
    });
    return await new View(parse(spec), { renderer: 'none' }).toSVG();
  };
}
