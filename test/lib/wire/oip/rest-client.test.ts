/** Servers that answer what no client should take. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import test, { type ExecutionContext } from 'ava';
import { MESSAGE_BYTES_MAX } from '../../../../lib/wire/grpc.ts';
import { OipRestClient } from '../../../../lib/wire/oip/rest-client.ts';
import { serveOnLoopback } from '../../../helpers/loopback.ts';

const LIMITS = { timeoutMs: 30_000 };

async function clientOf(t: ExecutionContext, answer: (request: IncomingMessage, response: ServerResponse) => void) {
  return new OipRestClient(await serveOnLoopback(t, createServer(answer)));
}

test('an answer that is too long is given up as soon as that is known', async (t) => {
  let sent = 0;
  const client = await clientOf(t, ({ url }, response) => {
    if (url === '/v2/models/announced') {
      response.writeHead(200, { 'content-length': MESSAGE_BYTES_MAX + 1 });
      response.flushHeaders();
      return;
    }
    response.writeHead(200);
    const piece = Buffer.alloc(1 << 20, ' ');
    const more = () => {
      while (!response.destroyed && response.write(piece)) sent += piece.length;
      sent += piece.length;
    };
    response.on('drain', more);
    more();
  });
  const message = new RegExp(`more than ${MESSAGE_BYTES_MAX} bytes`);
  for (const model of ['announced', 'endless']) {
    await t.throwsAsync(client.metadata(model, '', LIMITS), { code: 'DATA_LOSS', message }, model);
  }
  t.true(sent < 2 * MESSAGE_BYTES_MAX, `${sent} bytes were sent`);
});

test('metadata that are none are refused with the field; extensions that are not told are not there', async (t) => {
  const answers: Record<string, unknown> = {
    null: { name: 'a', versions: ['1'], inputs: [null] },
    shape: { name: 'a', inputs: [{ name: 'x', datatype: 'FP32', shape: ['many'] }] },
    versions: { name: 'a', versions: 'x' },
    fine: {
      name: 'fine',
      outputs: [
        { name: 'y', datatype: 'FP32', shape: [-1, 3] },
        { name: 'z', datatype: 'BF16', shape: [1] },
      ],
    },
  };
  const client = await clientOf(t, ({ url = '' }, response) => {
    const name = url.replace('/v2/models/', '');
    if (name in answers) response.end(JSON.stringify(answers[name]));
    else response.writeHead(404).end('nothing here');
  });
  for (const [model, field] of [
    ['null', 'inputs[0]'],
    ['shape', 'inputs[0].shape[0]'],
    ['versions', 'versions'],
  ] as const) {
    const refused = t.throwsAsync(client.metadata(model, '', LIMITS), {
      code: 'DATA_LOSS',
      message: /not of the protocol: .*expected/,
    });
    t.is(((await refused) as { field?: string } | undefined)?.field, field);
  }
  t.deepEqual(await client.metadata('fine', '', LIMITS), {
    name: 'fine',
    versions: [],
    platform: '',
    inputs: [],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 3] }],
  });
  t.false(await client.takesBinary(LIMITS));
  await t.throwsAsync(client.metadata('none', '', LIMITS), { code: 'NOT_FOUND' });
});
