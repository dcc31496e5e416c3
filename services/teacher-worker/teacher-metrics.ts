/** What a teacher-worker tells Prometheus: what `GetTeacherStatus` answers, by job and teacher. */
import type { TeacherJobStatus } from '../../lib/wire/generated/stillhouse/v1/TeacherJobStatus.ts';
import type { Metrics } from '../../lib/wire/metrics.ts';

type Counted = Exclude<keyof TeacherJobStatus, 'jobId' | 'modelDigest' | 'teacher'>;

/** @param status of the jobs that the service keeps counters of; a bounded number */
export function addTeacherMetrics(metrics: Metrics, status: () => readonly TeacherJobStatus[]): void {
  const samples = (counted: Counted, unit: number) => () =>
    status().map((job) => ({
      labels: { job: job.jobId ?? '', teacher: job.teacher ?? '' },
      value: Number(job[counted] ?? 0) / unit,
    }));
  const counter = (name: string, help: string, counted: Counted, unit = 1) =>
    metrics.counter(`stillhouse_teacher_${name}_total`, help, samples(counted, unit));
  counter('busy_seconds', 'Time of compute. Its rate is the utilisation.', 'computeMs', 1000);
  counter('served_samples', 'Samples answered, each once.', 'samplesServed');
  counter('repeated_samples', 'Samples answered again, because the batch was asked for again.', 'samplesRepeated');
  counter('computed_samples', 'Samples that the model computed.', 'samplesComputed');
  counter('cached_samples', 'Samples answered from stored logits.', 'samplesCached');
  counter('served_batches', 'Batches answered.', 'batchesServed');
  counter('refused_batches', 'Batches refused, by full queues, deadlines and cancellation.', 'batchesRefused');
  counter('sent_bytes', 'Logits as they went out.', 'bytesSent');
  metrics.gauge(
    'stillhouse_teacher_queued_samples',
    'Samples that wait or are being computed.',
    samples('samplesQueued', 1),
  );
}
