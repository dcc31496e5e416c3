import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import sharp from 'sharp';
import { onlyRouteOf } from '../../cli/commands/predict.ts';
import { jobSpecFromJson } from '../../lib/wire/job-file.ts';
import { controlRouteName } from '../../lib/wire/job-routes.ts';
import { serveInference } from '../../lib/wire/oip/server.ts';
import { Legs } from '../../services/router/legs.ts';
import { Router } from '../../services/router/router.ts';
import { runCli } from '../helpers/cli.ts';
import { testLogger } from '../helpers/logger.ts';
import { smallModel, startSpecialist } from '../helpers/specialists.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

/** Certain of little, and hesitant on much. */
const WARM = smallModel('warm', { red: [4, 0, 0], orange: [-4, 0, 0] });
const COLD = smallModel('cold', { blue: [7, 0, 9], green: [6, 9, 0] });

async function startRouter(t: ExecutionContext): Promise<string> {
  const specialist = await startSpecialist(t, 'a', [WARM, COLD]);
  const legs = new Legs();
  const router = new Router({ legs, legTimeoutMs: 10_000 });
  const record = {
    name: 'colours',
    rule: 'max-softmax' as const,
    classNames: ['red', 'orange', 'blue', 'green'],
    legs: [
      { specialist: 'warm', modelDigest: WARM.digest, classIds: [0, 1], dustbin: false },
      { specialist: 'cold', modelDigest: COLD.digest, classIds: [2, 3], dustbin: false },
    ],
  };
  router.apply({ kind: 'route-put', record, revision: 1 });
  router.apply({ kind: 'specialists', specialists: [specialist] });
  const server = await serveInference(router, { host: '127.0.0.1', port: 0, httpPort: 0, healthPort: 0 }, testLogger());
  t.teardown(async () => {
    await server.stop(1_000);
    legs.close();
  });
  return `127.0.0.1:${server.port}`;
}

test('predict answers by the route’s rule or by another that is asked for; the router says which there are', async (t) => {
  const router = await startRouter(t);
  const image = path.join(await tempFolder(t), 'red.png');
  await sharp({ create: { width: 9, height: 7, channels: 3, background: { r: 255, g: 0, b: 0 } } })
    .png()
    .toFile(image);
  const predict = (...args: string[]) =>
    runCli(t, ['predict', image, '--router', router, '--route', 'colours', ...args]);
  const [plain, byLogit, table, refused] = await Promise.all([
    predict('--json'),
    predict('--json', '--rule', 'max-logit'),
    predict('--rule', 'max-logit'),
    predict('--rule', 'dustbin'),
  ]);
  const likely = (margin: number) => Math.fround(1 / (1 + Math.exp(-margin)));
  const warm = { image, label: 'red', class: 0, probability: likely(8), specialist: 'warm', rule: 'max-softmax' };
  t.deepEqual(JSON.parse(plain.out), warm, plain.err);
  const cold = { image, label: 'blue', class: 2, probability: likely(1), specialist: 'cold', rule: 'max-logit' };
  t.deepEqual(JSON.parse(byLogit.out), cold, byLogit.err);
  t.regex(table.out, /red\.png +blue +73\.1 ?% +cold/);
  t.deepEqual([refused.code, refused.out], [1, '']);
  t.regex(refused.err, /"dustbin", expected one of those that route "colours" allows: max-softmax, max-logit/);
});

test('the only route is taken unasked, also when the one of its control arm stands beside it', (t) => {
  const control = (route: string) => {
    const head = { apiVersion: 'stillhouse/v1', kind: 'Job', name: 'demo', data: { dataset: 'trees' } };
    const models = { teachers: [{ name: 'big', arch: 'resnet-8' }], students: [{ name: 'few', arch: 'simple-cnn' }] };
    return controlRouteName(jobSpecFromJson(JSON.stringify({ ...head, ...models, publish: { route } })));
  };
  t.is(onlyRouteOf(['trees']), 'trees');
  t.is(onlyRouteOf(['trees', control('trees')]), 'trees');
  t.is(onlyRouteOf([control('trees'), 'trees']), 'trees');
  // Alone it is what there is; beside others it is one of several.
  t.is(onlyRouteOf([control('trees')]), control('trees'));
  t.is(onlyRouteOf([control('trees'), 'shrubs']), undefined);
  t.is(onlyRouteOf(['trees', control('trees'), 'shrubs']), undefined);
  t.is(onlyRouteOf([]), undefined);
});
