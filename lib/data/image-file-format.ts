/** Which picture format a file has, by its first bytes. */

export type ImageFileFormat = 'jpeg' | 'png' | 'webp';

/** Whatever the file is called. @returns null for everything else. */
export function imageFileFormat(bytes: Uint8Array): ImageFileFormat | null {
  const holds = (offset: number, text: string) =>
    bytes.length >= offset + text.length && [...text].every((char, at) => bytes[offset + at] === char.charCodeAt(0));
  if (holds(0, '\xff\xd8\xff')) return 'jpeg';
  if (holds(0, '\x89PNG\r\n\x1a\n')) return 'png';
  if (holds(0, 'RIFF') && holds(8, 'WEBP')) return 'webp';
  return null;
}
