/** What the step benchmark asks of the processes that it compares: one JSON line each way, in order. */

export interface StepCase {
  readonly net: string;
  /** Height and width of the images. */
  readonly size: number;
  readonly classes: number;
  readonly batch: number;
}

export type StepRequest =
  | ({ readonly call: 'open'; readonly mode: string } & StepCase)
  | { readonly call: 'run'; readonly steps: number }
  | { readonly call: 'info' };

/** Of `open`. */
export interface Opened {
  readonly parameters: number;
}

/** Of `run`: wall time of every step. */
export interface StepTimes {
  readonly ms: readonly number[];
}

/** Of `info`. */
export interface PeerInfo {
  readonly version: string;
  /** Largest resident set so far, bytes. */
  readonly rss: number;
  /** Best of several large float32 matrix products. */
  readonly gflops: number;
}
