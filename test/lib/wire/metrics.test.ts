/** `/metrics` and `/healthz` as a scraper sees them. */
import test, { type ExecutionContext } from 'ava';
import { Metrics, type MetricsOptions } from '../../../lib/wire/metrics.ts';

async function listen(t: ExecutionContext, more: Partial<MetricsOptions> = {}) {
  const metrics = await Metrics.listen({ host: '127.0.0.1', port: 0, serving: () => true, ...more });
  t.teardown(() => metrics.stop());
  const get = (path: string) => fetch(`http://127.0.0.1:${metrics.port}${path}`);
  return { metrics, get };
}

test('numbers are read when somebody asks, in the text format of Prometheus', async (t) => {
  const { metrics, get } = await listen(t);
  let served = 3;
  metrics.counter('stillhouse_test_samples_total', 'Samples answered.', () => [
    { labels: { teacher: 'big', job: 'a "quoted" one' }, value: served },
    { labels: { teacher: 'small', job: 'b' }, value: 0.5 },
  ]);
  metrics.gauge('stillhouse_test_queue', 'Samples that wait.', () => [{ labels: {}, value: 7 }]);
  metrics.gauge('stillhouse_test_nothing', 'Nothing yet.', () => []);
  const response = await get('/metrics');
  t.regex(response.headers.get('content-type') as string, /^text\/plain; version=0\.0\.4/);
  const lines = (await response.text()).split('\n');
  t.true(lines.includes('# TYPE stillhouse_test_samples_total counter'));
  t.true(lines.includes('# HELP stillhouse_test_samples_total Samples answered.'));
  t.true(lines.includes('stillhouse_test_samples_total{teacher="big",job="a \\"quoted\\" one"} 3'), lines.join('\n'));
  t.true(lines.includes('stillhouse_test_samples_total{teacher="small",job="b"} 0.5'));
  t.true(lines.includes('# TYPE stillhouse_test_queue gauge'));
  t.true(lines.includes('stillhouse_test_queue 7'));
  t.true(
    lines.some((line) => /^process_cpu_seconds_total \d/.test(line)),
    'what every process counts is there too',
  );
  served = 4;
  t.true((await (await get('/metrics')).text()).includes('job="a \\"quoted\\" one"} 4'), 'read anew, not added up');
});

test('health follows the process, a port in use is named', async (t) => {
  let isServing = false;
  const { metrics, get } = await listen(t, { serving: () => isServing });
  t.is((await get('/healthz')).status, 503);
  isServing = true;
  t.is((await get('/healthz')).status, 200);
  t.is((await get('/else')).status, 404);
  await t.throwsAsync(listen(t, { port: metrics.port }), {
    message: new RegExp(`port ${metrics.port} on 127.0.0.1 is in use`),
  });
});
