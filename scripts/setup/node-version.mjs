/** Refuses a Node that package.json does not allow, before anything else can fail in a stranger way. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SetupError } from './errors.mjs';

/** @throws {SetupError} when the running Node is outside `engines.node` of the checkout's package.json */
export async function requireNodeVersion(root, version = process.versions.node) {
  const { engines } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  if (engines?.node === undefined || satisfies(version, engines.node)) return;
  throw new SetupError(`this is Node ${version}, but Stillhouse needs ${engines.node}`, {
    hint: 'install Node 22 (for example `nvm install 22`) and start again',
  });
}

/** Whether a version lies in a range of the only form used here: `^a.b.c || ^d.e.f`. */
export function satisfies(version, range) {
  const have = parse(version);
  return range.split('||').some((part) => {
    const text = part.trim();
    if (!text.startsWith('^')) throw new Error(`engines.node: only ^ ranges are understood, not "${text}"`);
    const low = parse(text.slice(1));
    return have[0] === low[0] && atLeast(have, low);
  });
}

/** Whether `version` is `minimum` or newer, both as `a.b.c`. */
export function isAtLeast(version, minimum) {
  return atLeast(parse(version), parse(minimum));
}

function atLeast(have, low) {
  for (let i = 0; i < 3; i++) if (have[i] !== low[i]) return have[i] > low[i];
  return true;
}

function parse(version) {
  const [major = 0, minor = 0, patch = 0] = version.split('-')[0].split('.').map(Number);
  return [major, minor, patch];
}
