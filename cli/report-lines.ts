/** The report of a job as the lines that end a run. Pure. */
import type { FloorResult } from '../lib/wire/job-floors.ts';
import { evaluationSeconds } from './job-view.ts';
import type { DataUse, JobReport, ModelResult, RouteAccuracy, RouteResult } from './report.ts';
import { teachingLines } from './teaching.ts';
import { byteSize, counted, grouped, percent, points, rate, table, times } from './text.ts';

/** @param columns of the terminal, where the lines go to one: what the table of models has no room for is said below it */
export function reportLines(report: JobReport, columns = Number.POSITIVE_INFINITY): string[] {
  const { route, floors } = report;
  const models = modelTable(report, columns);
  const blocks = [
    [...models.lines, '', ...legend(report, models)],
    teachingBlock(report),
    routeLines(route),
    floorLines(floors),
    sampleLines(report),
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

const SKIPPED_SHOWN = 3;

/** What a narrow terminal does without, the first one first. */
const SPARE_COLUMNS = ['images', 'parameters', 'architecture'] as const satisfies readonly Column[];

interface ModelTable {
  readonly lines: readonly string[];
  readonly rows: readonly Cells[];
  /** Columns for which there was no room. */
  readonly left: readonly Column[];
}

/** The whole table, or as much of it as is no wider than the terminal. */
function modelTable({ teachers, students, route }: JobReport, terminalColumns: number): ModelTable {
  const rows: Cells[] = [
    ...teachers.map((teacher) => ({ role: 'teacher', ...modelCells(teacher) })),
    ...students.map((student) => ({
      role: student.assistant ? 'assistant' : 'student',
      ...modelCells(student),
      without: percent(student.control?.accuracy ?? null),
      gain: points(student.gain),
      smaller: times(student.timesSmaller),
      faster: times(student.timesFaster),
    })),
  ];
  if (route.accuracy !== null) rows.push(routeCells(route, students.filter(({ assistant }) => !assistant).length));
  const hasControl = students.some(({ control }) => control !== null);
  const columns = (Object.keys(COLUMNS) as Column[]).filter(
    (column) => hasControl || (column !== 'without' && column !== 'gain'),
  );
  const without = (left: readonly Column[]): ModelTable => {
    const shown = columns.filter((column) => !left.includes(column));
    const cells = rows.map((row) => shown.map((column) => row[column] ?? '-'));
    return { lines: table([shown.map((column) => COLUMNS[column]), ...cells]), rows, left };
  };
  const choices = [0, 1, 2].map((count) => without(SPARE_COLUMNS.slice(0, count)));
  const fits = ({ lines }: ModelTable) => lines.every((line) => line.length <= terminalColumns);
  return choices.find(fits) ?? without(SPARE_COLUMNS);
}

function modelCells(model: ModelResult): Cells {
  const { name, arch, parameters, weightBytes, accuracy, evaluatedImages, predictImagesPerSecond } = model;
  return {
    name,
    architecture: arch,
    parameters: parameters === 0 ? '-' : grouped(parameters),
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

/** What the columns mean for this job, on what the numbers stand, and what the table had no room for. */
function legend({ data, teachers, students, route }: JobReport, { rows, left }: ModelTable): string[] {
  const isPartly = data.labelled < data.train;
  const models = [...teachers, ...students];
  const entries: [string, string][] = [['data', dataText(data, route.choice !== null)]];
  if (data.synthetic !== null) entries.push(['synthetic', data.synthetic]);
  if (data.skipped.length > 0) entries.push(['skipped', skippedText(data.skipped)]);
  if (students.some(({ accuracy }) => accuracy !== null)) {
    const where = left.includes('images') ? 'below' : 'in the table';
    const routed = route.accuracy === null ? '' : '; the router’s among all classes';
    entries.push(['accuracy', `right answers on the test images ${where}; a student’s among its own classes${routed}`]);
  }
  if (models.some(({ best }) => best !== null)) entries.push(['epochs', bestText(models)]);
  if (students.some(({ control }) => control !== null)) {
    const images = isPartly ? `the ${grouped(data.labelled)} labelled images alone` : 'the same images';
    entries.push([
      'without',
      `the same network and as many steps, without the teacher: ${images}; gain in percentage points`,
    ]);
  }
  if (models.some(({ predictImagesPerSecond }) => predictImagesPerSecond !== null)) {
    entries.push(['images/s', 'answered while it was evaluated, computing alone; smaller, faster: than the teacher']);
  }
  const trained = [...models, ...students.flatMap(({ control }) => control ?? [])];
  const waits = trained.map(({ dataWaitShare }) => dataWaitShare).filter((share) => share !== null);
  const looks = trained.map(evaluationSeconds).filter((seconds) => seconds !== null);
  if (waits.length > 0) {
    const looked =
      looks.length === 0 ? '' : `; it looked at the calibrate split for at most ${Math.max(...looks).toFixed(1)} s`;
    entries.push([
      'data wait',
      `training waited for images at most ${percent(Math.max(...waits))} of its time${looked}`,
    ]);
  }
  for (const column of left) {
    entries.push([COLUMNS[column], rows.map((row) => `${row.name} ${row[column] ?? '-'}`).join('; ')]);
  }
  const width = Math.max(...entries.map(([name]) => name.length));
  return entries.map(([name, text]) => `${name.padEnd(width)}  ${text}`);
}

/** The first ones; `report.json` has them all. */
function skippedText(skipped: DataUse['skipped']): string {
  const shown = skipped.slice(0, SKIPPED_SHOWN).map(({ id, source, reason }) => `${id} (${source}: ${reason})`);
  const more = skipped.length > shown.length ? ` and ${grouped(skipped.length - shown.length)} more` : '';
  return `${counted(skipped.length, 'damaged sample')}: ${shown.join(', ')}${more}`;
}

/** Which epoch's model each one is. */
function bestText(models: readonly ModelResult[]): string {
  const kept = models.flatMap(({ name, best }) => {
    if (best === null) return [];
    const end = best.stoppedEarly ? ', where training stopped early' : '';
    return [`${name} as it was after epoch ${best.epoch} (${percent(best.accuracy)} of the calibrate split${end})`];
  });
  return kept.join('; ');
}

function dataText({ dataset, train, labelled, calibrate, test }: DataUse, isRuleChosen: boolean): string {
  const trained =
    labelled < train
      ? `${grouped(train)} training images, of which ${grouped(labelled)} have labels that were used`
      : `${grouped(train)} training images, all with their labels`;
  const chosen = isRuleChosen ? `; ${counted(calibrate, 'calibrate image')}, whose labels chose the router’s rule` : '';
  return `${trained}${chosen}; ${counted(test, 'test image')} of ${dataset}`;
}

/** How each student got its logits. */
function teachingBlock({ students }: JobReport): string[] {
  return students.flatMap(({ name, taughtBy, teaching }) => {
    if (teaching === null) return [];
    const waited =
      teaching.waitShare === null ? '' : `; it waited for logits ${percent(teaching.waitShare)} of its time`;
    return [
      `${name} was taught by ${taughtBy.join(', ')}${waited}`,
      ...teachingLines(teaching).map((line) => `  ${line}`),
    ];
  });
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

function sampleLines({ samples, samplesProblem }: JobReport): string[] {
  const title = 'test images through the router (REST):';
  if (samplesProblem !== null) return [`${title} none, ${samplesProblem}`];
  if (samples.length === 0) return [];
  const lines = samples.map((sample) => {
    const verdict = sample.label === sample.predicted ? 'right' : 'wrong';
    const answer = `${sample.predicted} (${percent(sample.probability)}, specialist ${sample.specialist})`;
    return `  image ${sample.sampleId}: ${sample.label} -> ${answer}: ${verdict}`;
  });
  return [title, ...lines];
}
