/** Makes images of records: reads, decodes, augments. Runs in the calling thread or in a reader thread. */
import { invariant } from '../base/errors.ts';
import { CIFAR10_IMAGE, decodeCifarImage } from './cifar10.ts';
import { giveBackRoom, takeRoom } from './image-room.ts';
import type { ImageShape } from './manifest.ts';
import type { ReadRequest, RecordLayout, RecordPlaces, SampleFile } from './read-request.ts';
import { damagedFile, readRecords, recordBytesOf, spanOf } from './record-files.ts';
import { scaleImages } from './scale-images.ts';
import { applyViews, cropBox, mixImages, type ViewRule } from './views.ts';

/** Bytes that are read at a time where records lie side by side. */
const RUN_BYTES = 256 * 1024;

/** Pictures that are decoded at a time: one while the pixels of another are handed on. */
const DECODES = 2;

/** A sample of a request. */
interface Sample {
  readonly id: number;
  readonly file: SampleFile;
  readonly record: number;
  /** Where its image begins among those that are answered. */
  readonly at: number;
}

export class ImageReader {
  readonly #mayBlock: boolean;
  #scratch = new Uint8Array(RUN_BYTES);

  /** @param options.mayBlock whether the calling thread has nothing else to do while a picture is decoded */
  constructor({ mayBlock }: { readonly mayBlock: boolean }) {
    this.#mayBlock = mayBlock;
  }

  /** @throws StillhouseError DATA_LOSS naming file and offset when what is stored is damaged */
  async read(request: ReadRequest): Promise<Float32Array> {
    const { image, samples, view } = request;
    const images = await this.#imagesOf(request, samples);
    if (view === null || view.partners === null) return images;
    const partners = await this.#imagesOf(request, view.partners);
    mixImages(images, partners, samples.ids, image, view.rule);
    giveBackRoom(partners);
    return images;
  }

  async #imagesOf({ image, files, view }: ReadRequest, places: RecordPlaces): Promise<Float32Array> {
    const values = image.height * image.width * image.channels;
    const images = takeRoom(places.ids.length * values);
    const samples = Array.from(places.ids, (id, index): Sample => {
      const file = files[places.files[index] as number];
      invariant(file !== undefined, 'every sample lies in a file of the request');
      return { id, file, record: places.records[index] as number, at: index * values };
    });
    const rule = view?.rule ?? null;
    for (const encoded of [true, false]) {
      const alike = samples.filter(({ file }) => (file.layout.kind === 'encoded') === encoded);
      if (alike.length === 0) continue;
      if (encoded) await this.#decodeFiles(alike, image, rule, images);
      else this.#readPixels(alike, image, images);
      if (rule === null) continue;
      if (alike.length === samples.length) applyViews(images, places.ids, image, rule, { cropped: encoded });
      else
        for (const { id, at } of alike)
          applyViews(images.subarray(at, at + values), [id], image, rule, { cropped: encoded });
    }
    return images;
  }

  /** Records of one size: those that lie side by side are read together. */
  #readPixels(samples: readonly Sample[], image: ImageShape, images: Float32Array): void {
    for (let index = 0; index < samples.length; ) {
      const { file, record: first } = samples[index] as Sample;
      const recordBytes = recordBytesOf(file.layout);
      invariant(recordBytes !== null, 'raw records have one size');
      const mostRecords = Math.max(1, Math.floor(RUN_BYTES / recordBytes));
      let run = 1;
      for (; run < mostRecords; run++) {
        const next = samples[index + run];
        if (next?.file !== file || next.record !== first + run) break;
      }
      if (this.#scratch.length < recordBytes) this.#scratch = new Uint8Array(recordBytes);
      const bytes = this.#scratch.subarray(0, run * recordBytes);
      readRecords(file, first * recordBytes, bytes);
      for (let record = 0; record < run; record++, index++) {
        const pixels = bytes.subarray(record * recordBytes, (record + 1) * recordBytes);
        drawRecord(pixels, file.layout, image, images, (samples[index] as Sample).at);
      }
    }
  }

  async #decodeFiles(
    samples: readonly Sample[],
    size: ImageShape,
    rule: ViewRule | null,
    images: Float32Array,
  ): Promise<void> {
    // Only where pictures are decoded: loading the library takes longer than reading many a small data set.
    const { decodeImage, imageSize } = await import('./decode-image.ts');
    const { decodePlainJpeg, decodePlainJpegSync } = await import('./plain-jpeg.ts');
    const { height, width } = size;
    const decodePlain = this.#mayBlock ? decodePlainJpegSync : decodePlainJpeg;
    let next = 0;
    const decodeNext = async (): Promise<void> => {
      // Of each decoder its own: several requests are read at a time where nobody queues them.
      const room = new Uint8Array(RUN_BYTES);
      while (next < samples.length) {
        const { id, file, record, at } = samples[next++] as Sample;
        invariant(file.layout.kind === 'encoded', 'pictures are decoded');
        const { fit } = file.layout;
        const { offset, length } = spanOf(file, record);
        const where = `${file.location} at offset ${offset}`;
        if (length === 0) throw damagedFile(file.location, `has no picture at offset ${offset}`);
        const bytes = length <= room.length ? room.subarray(0, length) : new Uint8Array(length);
        readRecords(file, offset, bytes);
        const box = rule?.crop === undefined ? null : cropBox(id, rule, await imageSize(bytes, where));
        const plain = fit === 'squash' && box === null ? await decodePlain(bytes, { height, width }, where) : null;
        if (plain !== null) drawRgb(plain, images, at);
        else images.set(await decodeImage(bytes, { height, width }, { fit, box, where }), at);
      }
    };
    const decoders = Array.from({ length: Math.min(DECODES, samples.length) }, decodeNext);
    // All of them: what goes on after one has failed would read from files that are closed by then.
    const ends = await Promise.allSettled(decoders);
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }
}

/** Drops the fourth channel. */
function drawRgb(pixels: Uint8Array, images: Float32Array, at: number): void {
  const length = pixels.length;
  for (let from = 0, to = at; from < length; from += 4, to += 3) {
    images[to] = pixels[from] as number;
    images[to + 1] = pixels[from + 1] as number;
    images[to + 2] = pixels[from + 2] as number;
  }
}

/** Pixels of a record become those of an image, scaled where its size is another. */
function drawRecord(
  record: Uint8Array,
  layout: RecordLayout,
  image: ImageShape,
  images: Float32Array,
  at: number,
): void {
  const { height, width } = layout.kind === 'raw' ? layout : CIFAR10_IMAGE;
  if (height === image.height && width === image.width) {
    drawPixels(record, layout, images, at);
    return;
  }
  const stored = { height, width, channels: image.channels };
  const pixels = new Float32Array(height * width * image.channels);
  drawPixels(record, layout, pixels, 0);
  images.set(scaleImages(pixels, stored, image), at);
}

function drawPixels(record: Uint8Array, layout: RecordLayout, images: Float32Array, at: number): void {
  if (layout.kind === 'cifar10') decodeCifarImage(record, images, at);
  else if (layout.kind === 'raw' && layout.channels === 3) images.set(record, at);
  else {
    for (let pixel = 0, to = at; pixel < record.length; pixel++) {
      const grey = record[pixel] as number;
      images[to++] = grey;
      images[to++] = grey;
      images[to++] = grey;
    }
  }
}
