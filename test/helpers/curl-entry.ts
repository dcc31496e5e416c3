/** Stands in for curl where there is none: `curl -s [--data-binary @FILE] URL`. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  options: { silent: { type: 'boolean', short: 's' }, 'data-binary': { type: 'string' } },
  allowPositionals: true,
});
const file = values['data-binary']?.replace(/^@/, '');
const request = file === undefined ? {} : { method: 'POST', body: new Uint8Array(readFileSync(file)) };
const response = await fetch(positionals[0] as string, request);
process.stdout.write(await response.text());
