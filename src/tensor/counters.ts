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
