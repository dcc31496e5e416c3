/**
 * Stands in for grpcurl where there is none: `grpcurl -plaintext [-d JSON|@] ADDRESS list [SERVICE] | METHOD`, by the
 * server's reflection, as grpcurl does it.
 */
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { status } from '@grpc/grpc-js';
import { Reflected, statusLine } from './reflected.ts';

const { values, positionals } = parseArgs({
  // It takes long options with one dash.
  args: process.argv.slice(2).map((arg) => (arg === '-plaintext' ? '--plaintext' : arg)),
  options: { plaintext: { type: 'boolean' }, data: { type: 'string', short: 'd' } },
  allowPositionals: true,
});
const [address, verb, service] = positionals as [string, string, string | undefined];
const client = new Reflected(address);
const print = (line: string) => process.stdout.write(`${line}\n`);

async function run(): Promise<void> {
  if (verb !== 'list') {
    const request = values.data === '@' ? await text(process.stdin) : (values.data ?? '{}');
    await client.call(verb, JSON.parse(request), (answer) => print(JSON.stringify(answer, null, 2)));
  } else if (service === undefined) (await client.services()).forEach(print);
  else for (const method of await client.methods(service)) print(`${service}.${method}`);
}

try {
  await run();
} catch (error) {
  const code = (error as { code?: number }).code ?? status.UNKNOWN;
  const name = (status[code] as string).toLowerCase().replace(/(?:^|_)(.)/g, (_, letter) => letter.toUpperCase());
  process.stderr.write(`ERROR:\n  Code: ${name}\n  Message: ${statusLine(error)}\n`);
  process.exitCode = 64 + code;
} finally {
  client.close();
}
