/** Images in rows with a few words under each, as one PNG. */
import sharp from 'sharp';
import type { ImageShape } from '../../lib/data/manifest.ts';

export interface Tile {
  /** RGB 0..255: [height, width, 3]. */
  readonly pixels: Float32Array;
  /** Lines below the image; tiles may have different numbers of them. */
  readonly caption: readonly string[];
}

/** Longer side of an image on the sheet, in pixels; smaller images are enlarged by a whole factor that keeps within it. */
const TILE_SIDE = 128;
const GAP = 8;
const LINE_HEIGHT = 16;
const FONT_SIZE = 12;
/** Of a character of a sans-serif font of that size: what is longer than the tile is cut off. */
const CHARACTER_WIDTH = 6.6;

interface Layout {
  readonly columns: number;
  readonly rows: number;
  /** Of a tile's image. */
  readonly width: number;
  readonly height: number;
  readonly lines: number;
}

/** @param image the shape of every tile */
export async function contactSheet(tiles: readonly Tile[], image: ImageShape): Promise<Buffer> {
  const layout = layoutOf(tiles, image);
  const [width, height] = sheetSize(layout);
  const sheet = Buffer.alloc(3 * width * height, 0xff);
  for (const [index, { pixels }] of tiles.entries()) {
    const { left, top } = placeOf(index, layout);
    const scaled = await scaledTile(pixels, image, layout);
    for (let row = 0; row < layout.height; row++) {
      scaled.copy(sheet, 3 * ((top + row) * width + left), 3 * row * layout.width, 3 * (row + 1) * layout.width);
    }
  }
  return sharp(sheet, { raw: { width, height, channels: 3 } })
    .composite([{ input: Buffer.from(captions(tiles, layout)) }])
    .png()
    .toBuffer();
}

/** Whether this machine has fonts: without any, all characters look alike. */
export async function hasFonts(): Promise<boolean> {
  const [narrow, wide] = await Promise.all(
    ['i', 'W'].map((text) => {
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32">${textElement(text, 4, 24)}</svg>`;
      return sharp(Buffer.from(svg)).raw().toBuffer();
    }),
  );
  return narrow?.equals(wide as Buffer) === false;
}

function layoutOf(tiles: readonly Tile[], { height, width }: ImageShape): Layout {
  const side = Math.max(height, width);
  const factor = side > TILE_SIDE ? TILE_SIDE / side : Math.floor(TILE_SIDE / side);
  const columns = Math.ceil(Math.sqrt(tiles.length));
  return {
    columns,
    rows: Math.ceil(tiles.length / columns),
    width: Math.max(1, Math.round(width * factor)),
    height: Math.max(1, Math.round(height * factor)),
    lines: Math.max(...tiles.map(({ caption }) => caption.length)),
  };
}

function sheetSize({ columns, rows, width, height, lines }: Layout): [number, number] {
  return [GAP + columns * (width + GAP), GAP + rows * (height + lines * LINE_HEIGHT + GAP)];
}

function placeOf(index: number, { columns, width, height, lines }: Layout): { left: number; top: number } {
  const row = Math.floor(index / columns);
  return {
    left: GAP + (index % columns) * (width + GAP),
    top: GAP + row * (height + lines * LINE_HEIGHT + GAP),
  };
}

/** Enlarged pixels stay squares: what is looked at is what a network sees. */
function scaledTile(pixels: Float32Array, image: ImageShape, { width, height }: Layout): Promise<Buffer> {
  const bytes = Uint8ClampedArray.from(pixels);
  const raw = { width: image.width, height: image.height, channels: 3 as const };
  const kernel = width >= image.width ? 'nearest' : 'lanczos3';
  return sharp(bytes, { raw }).resize(width, height, { fit: 'fill', kernel }).raw().toBuffer();
}

function captions(tiles: readonly Tile[], layout: Layout): string {
  const [width, height] = sheetSize(layout);
  const room = Math.max(3, Math.floor((layout.width + GAP / 2) / CHARACTER_WIDTH));
  const texts = tiles.flatMap(({ caption }, index) => {
    const { left, top } = placeOf(index, layout);
    return caption.map((line, at) => {
      const baseline = top + layout.height + (at + 1) * LINE_HEIGHT - 4;
      return textElement(cut(line, room), left, baseline);
    });
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${texts.join('')}</svg>`;
}

function textElement(text: string, x: number, y: number): string {
  const style = `font-family="sans-serif" font-size="${FONT_SIZE}" fill="#222222"`;
  return `<text x="${x}" y="${y}" ${style}>${escaped(text)}</text>`;
}

function cut(text: string, room: number): string {
  const characters = [...text];
  return characters.length <= room ? text : `${characters.slice(0, room - 1).join('')}…`;
}

/** Class names are folder names, so they may hold anything: markup, and characters that XML has no place for. */
function escaped(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly those are taken out.
      .replace(/[\u0000-\u001f\u007f-\u009f\ufffe\uffff]/g, '\ufffd')
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
  );
}
