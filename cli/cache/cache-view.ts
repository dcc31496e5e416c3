/** Stored logits as lines for people. Pure. */
import type { Namespace } from '../../lib/checkpoint/logits-cache/namespaces.ts';
import type { CacheRecipe } from '../../lib/checkpoint/logits-cache/recipe.ts';
import type { LogitsEncoding } from '../../lib/distill/logits/format.ts';
import { byteSize, grouped, table } from '../text.ts';

/** A namespace and what lies in it. */
export interface NamespaceSummary {
  readonly namespace: string;
  /** Its name in the job that has stored the first answers; null where nothing tells, as with the following ones. */
  readonly teacher: string | null;
  /** The same for all teachers that answer the same. */
  readonly teacherDigest: string | null;
  /** Of the model that has stored the first answers. */
  readonly modelDigest: string | null;
  readonly dataset: string | null;
  readonly datasetDigest: string | null;
  /** All images of the data set. */
  readonly images: number | null;
  /** `none`, or what happens to the images that the teacher sees. */
  readonly views: string | null;
  readonly encoding: string | null;
  readonly classes: number | null;
  /** Images that the teacher always computes together; null where it does not. */
  readonly shape: number | null;
  /** Images answered, by view. Null where nobody has looked. */
  readonly coverage: readonly { readonly view: number; readonly images: number }[] | null;
  /** Records that are not as they were written; null where nobody has looked. */
  readonly damaged: number | null;
  readonly bytes: number;
  /** ISO 8601. */
  readonly lastUse: string;
  readonly writers: readonly string[];
  /** Why it cannot be read; empty if it can. */
  readonly problem: string;
}

/** What the records of a namespace came to. */
export interface Looked {
  readonly samplesByView: readonly (readonly [view: number, samples: number])[];
  readonly damaged: number;
}

/** @param lastUse of the namespace, ISO 8601 @param looked null where nobody has */
export function summarise(namespace: Namespace, lastUse: string, looked: Looked | null): NamespaceSummary {
  const { name, recipe, bytes, writers, problem } = namespace;
  return {
    namespace: name,
    teacher: recipe?.origin.teacher ?? null,
    teacherDigest: recipe?.teacherDigest ?? null,
    modelDigest: recipe?.origin.modelDigest ?? null,
    dataset: recipe?.origin.dataset ?? null,
    datasetDigest: recipe?.datasetDigest ?? null,
    images: recipe?.sampleCount ?? null,
    views: recipe === null ? null : viewsText(recipe),
    encoding: recipe === null ? null : encodingText(recipe.format.encoding),
    classes: recipe?.classNames.length ?? null,
    shape: recipe?.shape ?? null,
    coverage: looked === null ? null : looked.samplesByView.map(([view, images]) => ({ view, images })),
    damaged: looked === null ? null : looked.damaged,
    bytes,
    lastUse,
    writers,
    problem,
  };
}

export function listLines(summaries: readonly NamespaceSummary[]): string[] {
  const rows = summaries.map((summary) => [
    summary.namespace,
    summary.teacher ?? '-',
    summary.dataset ?? '-',
    summary.views ?? '-',
    summary.encoding ?? '-',
    summary.shape === null ? '-' : String(summary.shape),
    coverageText(summary),
    byteSize(summary.bytes),
    summary.lastUse,
  ]);
  const head = ['NAMESPACE', 'TEACHER', 'DATA SET', 'VIEWS', 'ENCODING', 'BATCH', 'IMAGES', 'SIZE', 'LAST USE'];
  const total = summaries.reduce((sum, { bytes }) => sum + bytes, 0);
  return [...table([head, ...rows]), `${byteSize(total)} in all`, ...summaries.flatMap(noteLines)];
}

/** Everything about one. */
export function detailLines(summary: NamespaceSummary): string[] {
  const { coverage, images } = summary;
  const perView = (coverage ?? []).map(
    ({ view, images: answered }) => `  view ${view}: ${grouped(answered)} of ${grouped(images ?? 0)} images`,
  );
  return [
    summary.namespace,
    `teacher    ${summary.teacher ?? '-'}, ${summary.modelDigest ?? '-'}`,
    `data set   ${summary.dataset ?? '-'}, ${summary.datasetDigest ?? '-'}`,
    `views      ${summary.views ?? '-'}`,
    `encoding   ${summary.encoding ?? '-'}, ${grouped(summary.classes ?? 0)} classes`,
    `batches    ${shapeText(summary)}`,
    `answered   ${coverageText(summary)}`,
    ...(perView.length > 1 ? perView : []),
    `size       ${byteSize(summary.bytes)}`,
    `last use   ${summary.lastUse}`,
    ...noteLines(summary),
  ];
}

function noteLines({ namespace, problem, damaged, writers }: NamespaceSummary): string[] {
  return [
    ...(problem === '' ? [] : [`${namespace}: ${problem}`]),
    ...(damaged === null || damaged === 0 ? [] : [`${namespace}: ${grouped(damaged)} damaged, see cache verify`]),
    ...writers.map((writer) => `${namespace}: being written by ${writer}`),
  ];
}

function shapeText({ shape, problem }: NamespaceSummary): string {
  if (problem !== '') return '-';
  return shape === null ? 'of any size: bits differ from run to run' : `of ${grouped(shape)} images: reproducible`;
}

function coverageText({ coverage, images }: NamespaceSummary): string {
  if (coverage === null || images === null) return '-';
  const of = `of ${grouped(images)}`;
  const counts = coverage.map((each) => each.images);
  if (counts.length <= 1) return `${grouped(counts[0] ?? 0)} ${of}`;
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  const each = least === most ? grouped(least) : `${grouped(least)} to ${grouped(most)}`;
  return `${each} ${of} in ${counts.length} views`;
}

export function encodingText(encoding: LogitsEncoding): string {
  return typeof encoding === 'string' ? encoding : `top-${encoding.topK}`;
}

function viewsText({ views }: CacheRecipe): string {
  if (views === null) return 'none';
  const { rule, seed } = views;
  const parts = Object.entries(rule).flatMap(([name, value]) => {
    if (value === false || value === 0 || value === undefined) return [];
    return [typeof value === 'number' ? `${name} ${value}` : name];
  });
  return `${parts.join(' ')} (seed ${seed})`;
}
