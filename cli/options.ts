/** Options that several commands share. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { StillhouseError } from '../lib/base/errors.ts';
import { ALLOW_CUSTOM_CODE } from '../lib/wire/job-losses.ts';
import { findLocalCluster } from './cluster/state-file.ts';
import type { CliContext } from './context.ts';

/** A parser for whole numbers. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
  };
}

/** Collects a repeated option. */
export function collect(text: string, previous: readonly string[]): string[] {
  return [...previous, text];
}

export interface SizeOptions {
  readonly students?: number;
  readonly teachers: number;
  readonly specialists?: number;
  readonly portBase?: number;
  readonly threads?: number;
}

const WORKERS_MAX = 64;
export const THREADS_MAX = 1024;
/** The plan's highest offset is 139. */
const PORT_BASE_MAX = 65_535 - 139;

/** `--students` and so on; the texts say what holds when one is left out. */
export function addSizeOptions(command: Command, defaults: { students: string; specialists: string }): Command {
  const count = wholeNumber(1, WORKERS_MAX);
  return command
    .option('--students <n>', `student-workers to start (default: ${defaults.students})`, count)
    .option('--teachers <n>', 'teacher-workers to start', count, 1)
    .option('--specialists <n>', `specialists to start (default: ${defaults.specialists})`, count)
    .option('--port-base <port>', 'first of the fixed ports (default: free ports)', wholeNumber(1024, PORT_BASE_MAX))
    .addOption(
      new Option('--threads <n>', 'compute threads per worker (default: the cores, shared among the workers of a role)')
        .env('STILLHOUSE_THREADS')
        .argParser(wholeNumber(1, THREADS_MAX)),
    );
}

export interface CustomCodeOption {
  readonly allowCustomCode: boolean;
}

/** For commands that start workers. */
export function customCodeOption(): Option {
  const text = `let the workers run code that comes with jobs, such as losses (also: ${ALLOW_CUSTOM_CODE}=1)`;
  return new Option('--allow-custom-code', text).default(false);
}

export interface JobFileOptions {
  readonly set: readonly string[];
  readonly quick: boolean;
}

export function addJobFileOptions(command: Command): Command {
  return command
    .option('--quick', 'apply the file’s limits.quick: a small version of the job', false)
    .option('--set <path=value>', 'override a value of the file, e.g. train.epochs=3 (repeatable)', collect, []);
}

export function coordinatorOption(): Option {
  return new Option('--coordinator <host:port>', 'the coordinator (default: the local cluster’s)').env(
    'STILLHOUSE_COORDINATOR',
  );
}

/** The coordinator to talk to: as given, else the running local cluster's. */
export function coordinatorAddress(given: string | undefined, context: CliContext): string {
  const address = given ?? findLocalCluster(context.environment)?.coordinator;
  if (address !== undefined) return address;
  throw noCluster('--coordinator host:port, or set STILLHOUSE_COORDINATOR');
}

/** The router's gRPC address to talk to: as given, else the running local cluster's. */
export function routerAddress(given: string | undefined, context: CliContext): string {
  const address = given ?? findLocalCluster(context.environment)?.router.grpc;
  if (address !== undefined) return address;
  throw noCluster('--router host:port, or set STILLHOUSE_ROUTER');
}

/**
 * The NATS server that has models and lists: as given, else the running local cluster's, unless another coordinator than that
 * cluster's was named.
 */
export function natsAddress(given: string | undefined, coordinator: string | undefined, context: CliContext): string {
  // An environment variable that is set to nothing is not set.
  if (given !== undefined && given !== '') return given;
  const local = findLocalCluster(context.environment);
  if (local !== undefined && (coordinator === undefined || coordinator === local.coordinator)) return local.nats;
  const message = `it is not known where the cluster of ${coordinator} keeps its objects`;
  const hint = 'give --nats nats://host:port, or set NATS_URL';
  throw new StillhouseError('INVALID_ARGUMENT', message, { field: '--nats', hint });
}

function noCluster(instead: string): StillhouseError {
  return new StillhouseError('FAILED_PRECONDITION', 'no local cluster is running', {
    hint: `start one with \`npx stillhouse up\`, or give ${instead}`,
  });
}
