import test from 'ava';
import type { IDescriptorProto } from 'protobufjs/ext/descriptor/index.js';
import { Settings } from '../../../lib/base/settings.ts';
import { RpcServer } from '../../../lib/wire/grpc.ts';
import { serveInference } from '../../../lib/wire/oip/server.ts';
import { readServiceSettings } from '../../../lib/wire/service-settings.ts';
import { testLogger } from '../../helpers/logger.ts';
import { EchoBackend } from '../../helpers/oip-echo.ts';
import { type Json, Reflected } from '../../helpers/reflected.ts';

const ANY = { host: '127.0.0.1', port: 0, httpPort: 0, healthPort: 0 };

test('a caller that knows no .proto file finds exactly the services and calls them, by v1 and v1alpha', async (t) => {
  const server = await serveInference(new EchoBackend(), { ...ANY, reflection: true }, testLogger());
  t.teardown(() => server.stop(0));
  server.setServing(true);
  for (const version of ['v1', 'v1alpha'] as const) {
    const client = new Reflected(`127.0.0.1:${server.port}`, version);
    t.deepEqual(await client.services(), ['grpc.health.v1.Health', 'inference.GRPCInferenceService'], version);
    const answers: Json[] = [];
    await client.call('grpc.health.v1.Health/Check', {}, (answer) => answers.push(answer));
    const tensor = { name: 'x', datatype: 'INT32', shape: ['2'], contents: { intContents: [3, -4] } };
    await client.call(
      'inference.GRPCInferenceService/ModelInfer',
      { model_name: 'echo', parameters: { rule: { stringParam: 'max-logit' } }, inputs: [tensor] },
      (answer) => answers.push(answer),
    );
    client.close();
    t.deepEqual(answers[0], { status: 'SERVING' }, version);
    const [, answer] = answers;
    t.like(answer, { modelName: 'echo', rawOutputContents: ['AwAAAPz///8='] }, version);
    t.like(answer?.parameters, { whole: { int64Param: '7' }, text: { stringParam: 'a' } }, version);
  }
});

const upper = (_: string, letter: string) => letter.toUpperCase();

test('two services of one package are both described, with the fields’ names as in the files', async (t) => {
  const server = new RpcServer(testLogger(), { reflection: true });
  server.add('Teacher', { StreamLogits: async () => {}, GetTeacherStatus: () => ({}) });
  server.add('Workers', { Attend: async () => {} });
  const client = new Reflected(`127.0.0.1:${await server.listen('127.0.0.1', 0)}`);
  t.teardown(async () => {
    client.close();
    await server.stop(0);
  });
  t.deepEqual(await client.services(), ['grpc.health.v1.Health', 'stillhouse.v1.Teacher', 'stillhouse.v1.Workers']);
  t.deepEqual(await client.methods('stillhouse.v1.Workers'), ['Attend']);
  t.deepEqual(await client.methods('stillhouse.v1.Teacher'), ['GetTeacherStatus', 'StreamLogits']);
  const [file] = await client.files('stillhouse.v1.TeacherJobStatus');
  const message = file?.messageType?.find(({ name }) => name === 'TeacherJobStatus');
  const names = message?.field?.map(({ name, jsonName }) => [name, jsonName]) ?? [];
  t.deepEqual(names[0], ['job_id', 'jobId']);
  t.true(names.every(([name, jsonName]) => name !== undefined && jsonName === name.replace(/_([a-z])/g, upper)));
  await t.throwsAsync(client.files('inference.ModelInferRequest'), { message: /Symbol not found/ });
});

test('entries of maps are named as Protocol Buffers want it', async (t) => {
  const server = await serveInference(new EchoBackend(), { ...ANY, reflection: true }, testLogger());
  const client = new Reflected(`127.0.0.1:${server.port}`);
  t.teardown(async () => {
    client.close();
    await server.stop(0);
  });
  const maps: string[] = [];
  const collect = (prefix: string, { name, nestedType, field }: IDescriptorProto) => {
    for (const { name: entry, options } of nestedType ?? []) {
      if (options?.mapEntry !== true) continue;
      const fields = field?.filter(({ typeName }) => typeName === entry).map((one) => one.name);
      maps.push(`${prefix}${name}.${fields}: ${entry}`);
    }
    for (const inner of nestedType ?? []) collect(`${prefix}${name}.`, inner);
  };
  for (const symbol of ['inference.ModelInferRequest', 'grpc.health.v1.Health']) {
    for (const file of await client.files(symbol)) for (const type of file.messageType ?? []) collect('', type);
  }
  t.deepEqual(maps.sort(), [
    'HealthListResponse.statuses: StatusesEntry',
    'ModelInferRequest.InferInputTensor.parameters: ParametersEntry',
    'ModelInferRequest.InferRequestedOutputTensor.parameters: ParametersEntry',
    'ModelInferRequest.parameters: ParametersEntry',
    'ModelInferResponse.InferOutputTensor.parameters: ParametersEntry',
    'ModelInferResponse.parameters: ParametersEntry',
  ]);
});

test('switched off, a server does not tell; it is on unless it is', async (t) => {
  const reflects = (environment: object) => readServiceSettings(new Settings({ ...environment })).reflection;
  t.true(reflects({}));
  t.throws(() => reflects({ STILLHOUSE_REFLECTION: 'no' }), { message: /STILLHOUSE_REFLECTION is "no".* on, off/ });
  const reflection = reflects({ STILLHOUSE_REFLECTION: 'off' });
  const server = new RpcServer(testLogger(), { reflection });
  const client = new Reflected(`127.0.0.1:${await server.listen('127.0.0.1', 0)}`);
  t.teardown(async () => {
    client.close();
    await server.stop(0);
  });
  await t.throwsAsync(client.services(), { message: /UNIMPLEMENTED/ });
});
