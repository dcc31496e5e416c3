/**
 * The rows of `metrics.jsonl`: one for each progress of a phase that was seen, one for the phase's end. What does not apply to a
 * phase is left out. Pure.
 */
import { accuracyOf, bestEpochOf, dataWaitShare, isTraining, type Phase, stateName } from '../job-view.ts';
import { teachingOf } from '../teaching.ts';
import { type PhaseChange, phaseKind } from './phase-changes.ts';

export type MetricRow = Readonly<Record<string, unknown>>;

/** @param time ISO 8601, when the changes were seen */
export function metricRows(changes: readonly PhaseChange[], time: string): MetricRow[] {
  return changes.flatMap(({ phase, hasMoved, hasEnded }) => {
    const head = { time, phase: phaseKind(phase.kind), subject: phase.subject };
    const rows: MetricRow[] = [];
    if (hasMoved) rows.push({ ...head, event: 'progress', ...progressOf(phase) });
    if (hasEnded) rows.push({ ...head, event: stateName(phase.state), ...resultOf(phase) });
    return rows;
  });
}

function progressOf(phase: Phase): MetricRow {
  const { step, stepsTotal, epoch, epochs, loss, epochLoss, epochAccuracy, imagesPerSecond, seconds } = phase;
  return {
    step,
    stepsTotal,
    ...(epoch > 0 ? { epoch, epochs } : {}),
    ...(isTraining(phase) ? { loss } : {}),
    ...(epoch > 0 ? { epochLoss, epochAccuracy } : {}),
    imagesPerSecond,
    seconds,
  };
}

function resultOf(phase: Phase): MetricRow {
  const { seconds, step, firstLoss, loss, imagesPerSecond, parameters, modelDigest } = phase;
  const { evaluatedImages, predictImagesPerSecond, rule, rules, workers } = phase;
  const accuracy = accuracyOf(phase);
  const waited = dataWaitShare(phase);
  const best = bestEpochOf(phase);
  const teaching = teachingOf(phase);
  return {
    seconds,
    workers: workers.length,
    ...(step > 0 ? { step, imagesPerSecond } : {}),
    ...(isTraining(phase) && step > 0 ? { firstLoss, loss } : {}),
    ...(waited === null ? {} : { dataWaitShare: waited }),
    ...(best === null ? {} : { best }),
    ...(teaching === null ? {} : { teaching }),
    ...(accuracy === null ? {} : { accuracy, evaluatedImages }),
    ...(predictImagesPerSecond > 0 ? { predictImagesPerSecond } : {}),
    ...(parameters > 0 ? { parameters } : {}),
    ...(modelDigest === '' ? {} : { modelDigest }),
    ...(rule === '' ? {} : { rule }),
    ...(rules.length === 0 ? {} : { rules }),
  };
}
