/** What came of a job, as a table for people and as report.json for programs. Pure. */
import { architectureLabel } from '../lib/model/architecture-choice.ts';
import type { JobSpec } from '../lib/wire/job-file.ts';
import { withoutSources } from '../lib/wire/job-losses.ts';
import type { Job } from './coordinator-client.ts';
import { accuracyOf, type Phase } from './job-view.ts';
import { grouped, percent, table } from './text.ts';

export interface JobReport {
  readonly formatVersion: 1;
  readonly job: { id: string; name: string; state: string; createdAt: string; endedAt: string; datasetDigest: string };
  /** Code that came with the job by its digest. */
  readonly spec: object;
  readonly teachers: readonly ModelResult[];
  readonly students: readonly StudentResult[];
  readonly route: { name: string; accuracy: number | null; evaluatedImages: number };
  /** Whole seconds and fractions, by phase, in the order in which they ran. */
  readonly phases: readonly { kind: string; subject: string; state: string; seconds: number }[];
  readonly samples: readonly SampleAnswer[];
}

export interface ModelResult {
  readonly name: string;
  readonly arch: string;
  readonly digest: string;
  readonly parameters: number;
  /** On the test images of the model's classes, 0..1; null when not evaluated. */
  readonly accuracy: number | null;
  readonly evaluatedImages: number;
  readonly steps: number;
  readonly firstLoss: number;
  readonly loss: number;
  readonly imagesPerSecond: number;
  readonly seconds: number;
  readonly workers: Phase['workers'];
}

export interface StudentResult extends ModelResult {
  /** The same student without the teacher; null when the job has no control arm. */
  readonly control: ModelResult | null;
}

/** A test image that was sent through the router's REST endpoint. */
export interface SampleAnswer {
  readonly sampleId: number;
  readonly label: string;
  readonly predicted: string;
  readonly probability: number;
  readonly specialist: string;
}

export function buildReport(job: Job, spec: JobSpec, samples: readonly SampleAnswer[]): JobReport {
  const phaseOf = (kind: string, subject: string) =>
    job.phases.find((phase) => phase.kind === `PHASE_KIND_${kind}` && phase.subject === subject);
  const route = phaseOf('EVALUATE_ROUTE', spec.publish.route);
  const { id, name, state, createdAt, endedAt, datasetDigest } = job;
  return {
    formatVersion: 1,
    job: { id, name, state, createdAt, endedAt, datasetDigest },
    spec: withoutSources(spec),
    teachers: spec.teachers.map(({ name, arch }) =>
      modelResult(name, architectureLabel(arch), phaseOf('TRAIN_TEACHER', name)),
    ),
    students: spec.students.map(({ name, arch }) => {
      const control = phaseOf('CONTROL', name);
      return {
        ...modelResult(name, architectureLabel(arch), phaseOf('DISTIL', name)),
        control: control === undefined ? null : modelResult(name, architectureLabel(arch), control),
      };
    }),
    route: {
      name: spec.publish.route,
      accuracy: accuracyOf(route),
      evaluatedImages: route?.evaluatedImages ?? 0,
    },
    phases: job.phases.map(({ kind, subject, state, seconds }) => ({ kind, subject, state, seconds })),
    samples,
  };
}

function modelResult(name: string, arch: string, phase: Phase | undefined): ModelResult {
  return {
    name,
    arch,
    digest: phase?.modelDigest ?? '',
    parameters: phase?.parameters ?? 0,
    accuracy: accuracyOf(phase),
    evaluatedImages: phase?.evaluatedImages ?? 0,
    steps: phase?.step ?? 0,
    firstLoss: phase?.firstLoss ?? 0,
    loss: phase?.loss ?? 0,
    imagesPerSecond: phase?.imagesPerSecond ?? 0,
    seconds: phase?.seconds ?? 0,
    workers: phase?.workers ?? [],
  };
}

/** The lines that end a run. */
export function reportLines(report: JobReport): string[] {
  const row = (role: string, model: ModelResult, control: string) => [
    role,
    model.name,
    model.arch,
    grouped(model.parameters),
    percent(model.accuracy),
    control,
  ];
  const rows = [
    ['', 'name', 'architecture', 'parameters', 'accuracy', 'without teacher'],
    ...report.teachers.map((teacher) => row('teacher', teacher, '-')),
    ...report.students.map((student) => row('student', student, percent(student.control?.accuracy ?? null))),
  ];
  const lines = [...table(rows), ''];
  const { name, accuracy, evaluatedImages } = report.route;
  if (accuracy !== null) {
    const images = `${grouped(evaluatedImages)} test images of all its classes`;
    lines.push(`route ${name}: accuracy ${percent(accuracy)} on ${images}, through the router`, '');
  }
  if (report.samples.length > 0) lines.push('test images through the router (REST):');
  for (const sample of report.samples) {
    const verdict = sample.label === sample.predicted ? 'right' : 'wrong';
    const answer = `${sample.predicted} (${percent(sample.probability)}, specialist ${sample.specialist})`;
    lines.push(`  image ${sample.sampleId}: ${sample.label} -> ${answer}: ${verdict}`);
  }
  return lines;
}
