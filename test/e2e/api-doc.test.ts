/** docs/api.md says what happens: its commands are run, against a real cluster, and answer what it says. */
import { spawn } from 'node:child_process';
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { fixedPorts } from '../../cli/cluster/plan.ts';
import { addressOf, unary } from '../../lib/wire/grpc.ts';
import { startCluster } from '../helpers/cluster.ts';
import { documentedCommands, jsonMatches, textMatches } from '../helpers/documented.ts';
import { Reflected } from '../helpers/reflected.ts';
import { tempFolder } from '../helpers/temp-folder.ts';
import { provideTools } from '../helpers/tools.ts';

const LIMITS = { timeoutMs: 10_000 };
const END = '=== end of block ===';
/** By role. */
const SERVICES: Readonly<Record<string, string>> = {
  coordinator: 'stillhouse.v1.Coordinator,stillhouse.v1.Workers',
  teacher: 'stillhouse.v1.Teacher',
  specialist: 'inference.GRPCInferenceService',
  router: 'inference.GRPCInferenceService',
};

/** Where the cluster answers that the document starts. */
function documentedAddresses(markdown: string): string {
  const portBase = Number(/npx stillhouse up --port-base (\d+)\n/.exec(markdown)?.[1]);
  const ports = fixedPorts({ students: 2, teachers: 1, specialists: 2, portBase }, true);
  const at = (name: string) => `127.0.0.1:${ports.find(({ use }) => use === name)?.port}`;
  return `COORDINATOR=${at('coordinator')}\nROUTER=${at('router')}\nROUTER_HTTP=http://${at('router (http)')}\n`;
}

test('the commands of docs/api.md answer what it says, and every server describes itself', async (t) => {
  t.timeout(240_000);
  const markdown = await readFile('docs/api.md', 'utf8');
  const [first, ...blocks] = documentedCommands(markdown);
  t.is(first?.commands, documentedAddresses(markdown));
  t.true(blocks.length > 10);

  const cluster = await startCluster(t);
  const { members } = await unary(cluster.coordinator, 'GetCluster', {}, LIMITS);
  const coordinator = { role: 'coordinator', address: addressOf(cluster.coordinator) };
  const servers = [coordinator, ...members.filter(({ address }) => address !== '')];
  t.deepEqual([...new Set(servers.map(({ role }) => role))].sort(), Object.keys(SERVICES).sort());
  for (const { role, address } of servers) {
    const client = new Reflected(address);
    t.deepEqual(await client.services(), ['grpc.health.v1.Health', ...(SERVICES[role] ?? '').split(',')].sort(), role);
    client.close();
  }

  const folder = await tempFolder(t);
  const work = path.join(folder, 'work');
  const tools = path.join(folder, 'tools');
  t.log(...(await provideTools(tools)));
  await mkdir(work);
  await copyFile('test/fixtures/photos/chelsea.jpg', path.join(work, 'photo.jpg'));
  const { grpc, http } = cluster.router;
  const script = [
    `set -euo pipefail\nCOORDINATOR=${coordinator.address}\nROUTER=${grpc}\nROUTER_HTTP=${http}\n`,
    ...blocks.map(({ commands }) => `${commands}\necho\necho '${END}'\n`),
  ].join('');
  const bash = spawn('bash', ['-c', script], {
    cwd: work,
    env: { ...process.env, PATH: `${tools}${path.delimiter}${process.env.PATH}` },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => bash.kill());
  const output = { out: '', err: '' };
  bash.stdout.setEncoding('utf8').on('data', (text: string) => (output.out += text));
  bash.stderr.setEncoding('utf8').on('data', (text: string) => (output.err += text));
  const code = await new Promise((resolve) => bash.once('close', resolve));
  const { jobs } = await unary(cluster.coordinator, 'ListJobs', {}, LIMITS);
  t.is(code, 0, `${output.out}\n${output.err}\n${jobs.map(({ message }) => message)}`);

  const outputs = output.out.split(`\n${END}\n`);
  for (const [index, { commands, answer }] of blocks.entries()) {
    const actual = outputs[index] ?? '';
    if (answer === undefined) t.is(actual.trim(), '', commands);
    else if (answer.kind === 'text') t.true(textMatches(answer.text, actual), `${commands}\n${actual}`);
    else t.true(jsonMatches(JSON.parse(answer.text), JSON.parse(actual)), `${commands}\n${actual}`);
  }
});
