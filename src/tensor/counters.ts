/** What a runtime counts. */

/** What was done since the runtime was opened; tests prove with these that the loop makes nothing. */
export interface Counters {
  submits: number;
  passes: number;
  dispatches: number;
  maps: number;
  buffers: number;
  bindGroups: number;
  pipelines: number;
}

export function newCounters(): Counters {
  return { submits: 0, passes: 0, dispatches: 0, maps: 0, buffers: 0, bindGroups: 0, pipelines: 0 };
}
