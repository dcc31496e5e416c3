/** Pixels of a picture, seen upright. */
export interface ImageSize {
  readonly height: number;
  readonly width: number;
}

/** A part of a picture in its own pixels, seen upright. */
export interface ImageBox extends ImageSize {
  readonly left: number;
  readonly top: number;
}
