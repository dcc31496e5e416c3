/** What serves a model: images in, logits out, wherever and however it computes. */
export interface Predictor {
  /**
   * Several calls may be outstanding; they are answered in any order.
   *
   * @param images [n, height, width, 3] in the model's input size, RGB 0..255; preprocessing is done in here. They are
   * handed over: the array must own all of its buffer, and may be empty afterwards
   * @param n images, at least one
   * @returns [n, classes], raw logits
   */
  predict(images: Float32Array, n: number): Promise<Float32Array>;
  /** Releases what it holds. No call may be outstanding, none may follow. */
  close(): Promise<void>;
}
