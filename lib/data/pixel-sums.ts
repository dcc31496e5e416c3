/** Mean and standard deviation per channel over any number of images, one image at a time. */
import type { ChannelStatistics } from './dataset.ts';

/** Sums of whole numbers: exact up to 10^11 pixels, the same in whatever order images come. */
export class PixelSums {
  #pixels = 0;
  readonly #sums: [number, number, number] = [0, 0, 0];
  readonly #squares: [number, number, number] = [0, 0, 0];

  /** @param pixels uint8 [height, width, channels]; grey counts for all three */
  add(pixels: Uint8Array, channels: 1 | 3): void {
    for (let channel = 0; channel < channels; channel++) {
      let sum = 0;
      let squares = 0;
      for (let at = channel; at < pixels.length; at += channels) {
        const value = pixels[at] as number;
        sum += value;
        squares += value * value;
      }
      for (let to = channel; to < 3; to += channels) {
        this.#sums[to] = (this.#sums[to] as number) + sum;
        this.#squares[to] = (this.#squares[to] as number) + squares;
      }
    }
    this.#pixels += pixels.length / channels;
  }

  /** Of pixels as 0..1; a channel without any contrast has a deviation of 1, which leaves it unscaled. */
  statistics(): ChannelStatistics {
    const mean = this.#sums.map((sum) => sum / this.#pixels);
    const std = this.#squares.map((squares, channel) => {
      const variance = squares / this.#pixels - (mean[channel] as number) ** 2;
      return Math.sqrt(Math.max(0, variance)) / 255 || 1;
    });
    return { mean: mean.map((value) => value / 255), std };
  }
}
