/** Losses that came with a job, as source: loaded once by their digest, called like the others. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { sha256 } from '../base/digest.ts';
import { StillhouseError } from '../base/errors.ts';
import { type Tensor, tf } from '../engine/tf.ts';
import { customLossTf } from './custom-loss-tf.ts';
import type { LossArguments } from './custom-loss-types.ts';
import type { CustomLossFunction } from './loss.ts';

/** A module without imports. */
export interface CustomLossSource {
  /** Of the source. */
  readonly digest: string;
  /** The file's name, for messages. */
  readonly name: string;
  /** ECMAScript. */
  readonly source: string;
}

export interface CustomLoss {
  readonly compute: CustomLossFunction;
  /** What the module's export `needs` says. */
  readonly needsTeacher: boolean;
}

/**
 * Runs the module's top level: call it only where the job's code is trusted. A module stays loaded as long as the thread.
 * @throws DATA_LOSS when the source is not the digest's; INVALID_ARGUMENT when the module is no loss
 */
export async function loadCustomLoss({ digest, name, source }: CustomLossSource): Promise<CustomLoss> {
  const found = sha256(source);
  if (found !== digest) {
    throw new StillhouseError('DATA_LOSS', `the source of the loss ${name} is ${found}, but the job names ${digest}`);
  }
  const module = await importSource(name, source);
  const { default: compute } = module;
  if (typeof compute !== 'function') {
    const message = `the loss ${name}: expected a function as default export, got ${typeof compute}`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { hint: 'export default function loss({ … }) { … }' });
  }
  return {
    compute: guarded(name, compute as (args: LossArguments) => unknown),
    needsTeacher: teacherNeed(name, module),
  };
}

/** Through a file rather than a data: URL, which every line of a stack trace would repeat whole. */
async function importSource(name: string, source: string): Promise<Record<string, unknown>> {
  const folder = mkdtempSync(join(tmpdir(), 'stillhouse-loss-'));
  try {
    const file = join(folder, 'loss.mjs');
    writeFileSync(file, source);
    return (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  } catch (error) {
    throw new StillhouseError('INVALID_ARGUMENT', `the loss ${name} cannot be loaded: ${reasonOf(error)}`, {
      cause: error,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function teacherNeed(name: string, { needs }: Record<string, unknown>): boolean {
  if (needs === undefined) return true;
  const known = typeof needs === 'object' && needs !== null ? Object.entries(needs) : [['needs', needs]];
  const teacher = known.find(([key]) => key === 'teacher')?.[1] ?? true;
  if (known.every(([key]) => key === 'teacher') && typeof teacher === 'boolean') return teacher;
  const message = `the loss ${name}: expected its export "needs" to be { teacher: true } or { teacher: false }`;
  throw new StillhouseError('INVALID_ARGUMENT', message);
}

/** The user's function with its arguments in their documented form, its failures named, its answer checked. */
function guarded(name: string, compute: (args: LossArguments) => unknown): CustomLossFunction {
  return ({ logits, teacherLogits, labels, targets, temperature, parameters }) => {
    const batch = logits.shape[0] as number;
    let value: unknown;
    try {
      value = compute({
        tf: customLossTf,
        logits: logits as tf.Tensor2D,
        labels: labels as tf.Tensor1D,
        targets: targets as tf.Tensor2D,
        temperature: temperature as tf.Scalar,
        parameters,
        ...((teacherLogits === null ? {} : { teacherLogits }) as { teacherLogits: tf.Tensor2D }),
      });
    } catch (error) {
      const { code, hint } = StillhouseError.from(error);
      throw new StillhouseError(
        code === 'INTERNAL' ? 'INVALID_ARGUMENT' : code,
        `the loss ${name} failed: ${reasonOf(error)}`,
        { ...(hint === undefined ? {} : { hint }), cause: error },
      );
    }
    if (isPerSample(value, batch)) return value;
    throw new StillhouseError(
      'INVALID_ARGUMENT',
      `the loss ${name}: expected one float32 value per sample, shape [${batch}], got ${describe(value)}`,
    );
  };
}

function isPerSample(value: unknown, batch: number): value is Tensor {
  return value instanceof tf.Tensor && value.dtype === 'float32' && value.shape.join() === String(batch);
}

function describe(value: unknown): string {
  if (value instanceof Promise) return 'a promise: the function must not be async';
  if (!(value instanceof tf.Tensor)) return value === null ? 'null' : typeof value;
  const found = `${value.dtype}, shape [${value.shape.join(', ')}]`;
  return value.rank === 0 ? `${found}: do not average over the batch, that is done for all terms together` : found;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
