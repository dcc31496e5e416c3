/** What a student-worker tells Prometheus: its shares of all tasks since it started, added up. */
import type { WorkerShare } from '../../lib/wire/generated/stillhouse/v1/WorkerShare.ts';
import type { Metrics, Sample } from '../../lib/wire/metrics.ts';

const COUNTED = [
  'stepsCommitted',
  'samplesCommitted',
  'teacherSamples',
  'cachedSamples',
  'teacherWaitMs',
  'dataWaitMs',
  'averagingWaitMs',
  'batchesResent',
  'duplicateAnswers',
  'logitsBytesReceived',
  'gradientBytesReceived',
  'gradientBytesSent',
] as const;

type Counted = (typeof COUNTED)[number];

/** A share counts from the start of its task; these count on from task to task. */
export class StudentTotals {
  readonly #ended = new Map<Counted, number>();
  #current: { readonly taskId: string; readonly share: WorkerShare } | undefined;

  /** @param share the worker's latest of the task */
  observe(taskId: string, share: WorkerShare): void {
    if (this.#current !== undefined && this.#current.taskId !== taskId) {
      for (const name of COUNTED) this.#ended.set(name, this.of(name));
    }
    this.#current = { taskId, share };
  }

  of(name: Counted): number {
    return (this.#ended.get(name) ?? 0) + Number(this.#current?.share[name] ?? 0);
  }
}

export function addStudentMetrics(metrics: Metrics, totals: StudentTotals): void {
  const counter = (name: string, help: string, counted: Counted) =>
    metrics.counter(`stillhouse_student_${name}_total`, help, () => [{ labels: {}, value: totals.of(counted) }]);
  const seconds = (waitsFor: string, counted: Counted): Sample => ({
    labels: { for: waitsFor },
    value: totals.of(counted) / 1000,
  });
  metrics.counter('stillhouse_student_wait_seconds_total', 'Time that training has waited, by what for.', () => [
    seconds('logits', 'teacherWaitMs'),
    seconds('data', 'dataWaitMs'),
    seconds('averages', 'averagingWaitMs'),
  ]);
  counter('steps', 'Optimizer steps.', 'stepsCommitted');
  counter('samples', 'Samples of the own lanes that were trained on.', 'samplesCommitted');
  counter('taught_samples', 'Samples that were trained on with logits of a teacher.', 'teacherSamples');
  counter('cached_samples', 'Samples whose logits this worker read from the cache itself.', 'cachedSamples');
  counter('resent_batches', 'Batches sent to another teacher, because the first was slow or gone.', 'batchesResent');
  counter('duplicate_answers', 'Answers that came twice, and were dropped.', 'duplicateAnswers');
  counter('logits_received_bytes', 'Logits as they came in.', 'logitsBytesReceived');
  counter('gradients_received_bytes', 'Gradients and averages as they came in.', 'gradientBytesReceived');
  counter('gradients_sent_bytes', 'Gradients and averages as they went out.', 'gradientBytesSent');
}
