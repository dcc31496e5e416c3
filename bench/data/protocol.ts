/** What the processes of the data benchmark are asked, one line of JSON each. */
export type DataRequest =
  | { readonly call: 'info' }
  /** Batches of the stream, timed. */
  | { readonly call: 'run'; readonly batches: number }
  /** Some images without augmentation, normalised. @param picks sample ids; of pictures theirs are paths of files */
  | { readonly call: 'look'; readonly picks: readonly (number | string)[] };

export interface RunAnswer {
  readonly ms: number;
  readonly images: number;
}

export interface LookAnswer {
  /** Float32 [picks, height, width, 3], base64. */
  readonly images: string;
}
