/** The report of a job as the lines that end a run. Pure. */
import type { FloorResult } from '../lib/wire/job-floors.ts';
import type {
  DataUse,
  JobReport,
  ModelResult,
  RouteAccuracy,
  RouteResult,
  SampleAnswer,
  StudentResult,
} from './report.ts';
import { byteSize, counted, grouped, percent, points, rate, table, times } from './text.ts';

export function reportLines(report: JobReport): string[] {
  const { data, teachers, students, route, floors, samples } = report;
  const blocks = [
    [...modelTable(teachers, students, route), '', ...legend(data, teachers, students, route)],
    routeLines(route),
    floorLines(floors),
    sampleLines(samples),
  ];
  return blocks.filter((block) => block.length > 0).flatMap((block, index) => (index === 0 ? block : ['', ...block]));
}

/** A row of the table of models, by its columns; what has no place there is `-`. */
type Cells = Readonly<Partial<Record<Column, string>>>;

const COLUMNS = {
  role: '',
  name: 'name',
  architecture: 'architecture',
  parameters: 'parameters',
  size: 'size',
  accuracy: 'accuracy',
  without: 'without',
  gain: 'gain',
  images: 'test images',
  speed: 'images/s',
  smaller: 'smaller',
  faster: 'faster',
} as const;

type Column = keyof typeof COLUMNS;

function modelTable(
  teachers: readonly ModelResult[],
  students: readonly StudentResult[],
  route: RouteResult,
): string[] {
  const rows: Cells[] = [
    ...teachers.map((teacher) => ({ role: 'teacher', ...modelCells(teacher) })),
    ...students.map((student) => ({
      role: 'student',
      ...modelCells(student),
      without: percent(student.control?.accuracy ?? null),
      gain: points(student.gain),
      smaller: times(student.timesSmaller),
      faster: times(student.timesFaster),
    })),
  ];
  if (route.accuracy !== null) rows.push(routeCells(route, students.length));
  const hasControl = students.some(({ control }) => control !== null);
  const columns = (Object.keys(COLUMNS) as Column[]).filter(
    (column) => hasControl || (column !== 'without' && column !== 'gain'),
  );
  return table([
    columns.map((column) => COLUMNS[column]),
    ...rows.map((cells) => columns.map((column) => cells[column] ?? '-')),
  ]);
}

function modelCells(model: ModelResult): Cells {
  const { name, arch, parameters, weightBytes, accuracy, evaluatedImages, predictImagesPerSecond } = model;
  return {
    name,
    architecture: arch,
    parameters: grouped(parameters),
    size: byteSize(weightBytes),
    accuracy: percent(accuracy),
    images: evaluatedImages === 0 ? '-' : grouped(evaluatedImages),
    speed: predictImagesPerSecond === null ? '-' : rate(predictImagesPerSecond),
  };
}

/** All specialists together. How fast they answer depends on where they run: no speed. */
function routeCells(route: RouteResult, students: number): Cells {
  return {
    role: 'router',
    name: route.name,
    architecture: counted(students, 'student'),
    parameters: grouped(route.parameters),
    size: byteSize(route.weightBytes),
    accuracy: percent(route.accuracy),
    without: percent(route.control?.accuracy ?? null),
    gain: points(route.gain),
    images: grouped(route.evaluatedImages),
    smaller: times(route.timesSmaller),
  };
}

/** What the columns mean for this job, and on what the numbers stand. */
function legend(
  data: DataUse,
  teachers: readonly ModelResult[],
  students: readonly StudentResult[],
  route: RouteResult,
): string[] {
  const isPartly = data.labelled < data.train;
  const trained = isPartly
    ? `${grouped(data.train)} training images, of which ${grouped(data.labelled)} have labels that were used`
    : `${grouped(data.train)} training images, all with their labels`;
  const lines = [`data      ${trained}; ${counted(data.test, 'test image')} of ${data.dataset}`];
  const evaluated = students.some(({ accuracy }) => accuracy !== null);
  const routed = route.accuracy === null ? '' : '; the router’s among all classes';
  if (evaluated)
    lines.push(`accuracy  right answers on the test images in the table; a student’s among its own classes${routed}`);
  if (students.some(({ control }) => control !== null)) {
    const images = isPartly ? `the ${grouped(data.labelled)} labelled images alone` : 'the same images';
    lines.push(
      `without   the same network and as many steps, without the teacher: ${images}; gain in percentage points`,
    );
  }
  if ([...teachers, ...students].some(({ predictImagesPerSecond }) => predictImagesPerSecond !== null)) {
    lines.push('images/s  answered while it was evaluated, computing alone; smaller, faster: than the teacher');
  }
  return lines;
}

/** The router by each rule, where there is more than one to compare. */
function routeLines(route: RouteResult): string[] {
  const { control, rules } = route;
  if (rules.length === 0) return [];
  if (rules.length === 1) return [`router ${route.name}: ${ruleText(route)}`];
  const shareBy = (of: RouteAccuracy | null, rule: string) =>
    of?.rules.find((one) => one.rule === rule)?.accuracy ?? null;
  const rows = rules.map(({ rule, accuracy }) => {
    const without = shareBy(control, rule);
    const gain = accuracy === null || without === null ? null : accuracy - without;
    const mark = rule === route.rule ? `${rule} *` : rule;
    return [`  ${mark}`, percent(accuracy), ...(control === null ? [] : [percent(without), points(gain)])];
  });
  const head = ['  rule', 'accuracy', ...(control === null ? [] : ['without', 'gain'])];
  return [
    `router ${route.name}, by each rule, on ${counted(route.evaluatedImages, 'test image')} of all classes:`,
    ...table([head, ...rows]),
    `  * ${ruleText(route)}`,
    ...(control === null || control.rule === '' ? [] : [`  without distillation, ${ruleText(control)}`]),
  ];
}

/** By what a route answers, and why. */
function ruleText({ rule, choice }: RouteAccuracy): string {
  if (choice === null) return `it answers by ${rule}, as the job file says`;
  const found = choice.rules.map((one) => `${one.rule} ${percent(one.accuracy)}`).join(', ');
  return `it answers by ${rule}, chosen on ${counted(choice.images, 'image')} of the calibrate split: ${found}`;
}

function floorLines(floors: readonly FloorResult[]): string[] {
  if (floors.length === 0) return [];
  const rows = floors.map((result) => {
    const show = result.what === 'gain' ? gainText : shareText;
    const rule = result.rule === undefined ? '' : ` by ${result.rule}`;
    const title = { teacher: 'teacher', gain: 'gain of', route: 'router', rule: 'router' }[result.what];
    const value = result.value === null ? 'not measured' : show(result.value);
    const verdict = result.isReached ? 'reached' : 'MISSED';
    return [`  ${title} ${result.subject}${rule}`, `at least ${show(result.floor)}`, value, verdict];
  });
  return ['floors:', ...table([['', '', '', ''], ...rows]).slice(1)];
}

/** Two decimals, so that a floor that was missed by one image of 10,000 does not look reached. */
function shareText(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}

function gainText(gain: number): string {
  return `${(100 * gain).toFixed(2)} points`;
}

function sampleLines(samples: readonly SampleAnswer[]): string[] {
  if (samples.length === 0) return [];
  const lines = samples.map((sample) => {
    const verdict = sample.label === sample.predicted ? 'right' : 'wrong';
    const answer = `${sample.predicted} (${percent(sample.probability)}, specialist ${sample.specialist})`;
    return `  image ${sample.sampleId}: ${sample.label} -> ${answer}: ${verdict}`;
  });
  return ['test images through the router (REST):', ...lines];
}
