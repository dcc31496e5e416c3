/** The router: routes served as models of the Open Inference Protocol, answered by specialists. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { imageInputOf } from '../../lib/wire/oip/image-signature.ts';
import { textTensor } from '../../lib/wire/oip/raw-tensor.ts';
import { respond, selectOutputs } from '../../lib/wire/oip/requests.ts';
import type {
  CallScope,
  InferenceBackend,
  InferRequest,
  InferResponse,
  ModelMetadata,
  OipTensor,
  Parameters,
  TensorMetadata,
} from '../../lib/wire/oip/types.ts';
import type { RouteRule } from '../../lib/wire/route-rules.ts';
import { combine } from './combine.ts';
import type { LegAnswer, Legs, ReachableLeg } from './legs.ts';
import { rulesOf } from './route-record.ts';
import {
  EMPTY_TABLE,
  findRoute,
  type RouteEvent,
  type RouteLegRecord,
  type RouteRevision,
  type RouteTable,
  readyRoutes,
  replicasOf,
  step,
} from './route-table.ts';

const OUTPUTS: readonly TensorMetadata[] = [
  { name: 'label', datatype: 'BYTES', shape: [-1] },
  { name: 'class', datatype: 'INT64', shape: [-1] },
  { name: 'probability', datatype: 'FP32', shape: [-1] },
  { name: 'specialist', datatype: 'BYTES', shape: [-1] },
];

export interface RouterOptions {
  readonly legs: Legs;
  /** For the legs of one request, all tries together. */
  readonly legTimeoutMs: number;
}

export class Router implements InferenceBackend {
  readonly serverName = 'stillhouse-router';
  readonly #options: RouterOptions;
  #table: RouteTable = EMPTY_TABLE;
  #isEnding = false;

  constructor(options: RouterOptions) {
    this.#options = options;
  }

  /** Takes in what the registry or the heartbeats say. */
  apply(event: RouteEvent): void {
    this.#table = step(this.#table, event);
    if (event.kind === 'specialists') {
      this.#options.legs.keepOnly(new Set(event.specialists.map(({ address }) => address)));
    }
  }

  /** Name → revision, of the routes that answer now. */
  routes(): Record<string, number> {
    return readyRoutes(this.#table);
  }

  /** Says no to readiness checks from now on; requests are still answered. */
  end(): void {
    this.#isEnding = true;
  }

  live(): boolean {
    return true;
  }

  ready(): boolean {
    return !this.#isEnding && Object.keys(this.routes()).length === this.#table.routes.size;
  }

  modelReady(name: string, version: string): boolean {
    const finding = findRoute(this.#table, name);
    return finding.kind === 'ready' && isVersion(finding.revision, version);
  }

  async metadata(name: string, version: string, { signal }: CallScope): Promise<ModelMetadata> {
    const route = this.#find(name, version);
    const limits = { timeoutMs: this.#options.legTimeoutMs, signal };
    const legs = await this.#options.legs.metadata(this.#reach(route), limits);
    return {
      name,
      versions: [String(route.revision)],
      platform: 'stillhouse_route',
      inputs: mergeInputs(legs.map(({ inputs }) => inputs)),
      outputs: OUTPUTS,
    };
  }

  async infer(request: InferRequest, { signal }: CallScope): Promise<InferResponse> {
    const route = this.#find(request.modelName, request.modelVersion);
    selectOutputs(
      request,
      OUTPUTS.map(({ name }) => name),
    );
    const rule = ruleOf(request, route);
    const { tensor, rows } = imageInputOf(request);
    const limits = { timeoutMs: this.#options.legTimeoutMs, signal };
    const answers = await this.#options.legs.infer(this.#reach(route), tensor, rows, limits);
    const outputs = combined(rule, route, answers, rows);
    return respond(request, String(route.revision), outputs, remarks(rule, answers));
  }

  #find(name: string, version: string): RouteRevision {
    const finding = findRoute(this.#table, name);
    if (finding.kind === 'unknown') {
      const known = [...this.#table.routes.keys()];
      throw new StillhouseError('NOT_FOUND', `there is no route "${name}" here`, {
        hint: known.length === 0 ? 'no route has been published yet' : `routes: ${known.join(', ')}`,
      });
    }
    if (finding.kind === 'not-ready') throw notReady(name, finding.missing);
    if (isVersion(finding.revision, version)) return finding.revision;
    throw new StillhouseError('NOT_FOUND', `route "${name}" has no version "${version}" here`, {
      hint: `its version is ${finding.revision.revision}`,
    });
  }

  #reach(route: RouteRevision): ReachableLeg[] {
    return route.record.legs.map((leg) => ({ leg, replicas: replicasOf(leg, this.#table.specialists) }));
  }
}

function isVersion(route: RouteRevision, version: string): boolean {
  return version === '' || version === String(route.revision);
}

function notReady(name: string, missing: readonly RouteLegRecord[]): StillhouseError {
  const legs = missing.map((leg) => `"${leg.specialist}" (${leg.modelDigest})`).join(', ');
  return new StillhouseError('UNAVAILABLE', `route "${name}" is not ready: no specialist alive serves ${legs}`, {
    hint: 'it answers as soon as one does',
  });
}

/** The request's own rule, its parameter `rule`, or else the route's. */
function ruleOf({ parameters }: InferRequest, { record }: RouteRevision): RouteRule {
  const wanted = parameters.rule;
  if (wanted === undefined) return record.rule;
  const allowed = rulesOf(record);
  const rule = allowed.find((one) => one === wanted);
  if (rule !== undefined) return rule;
  throw new StillhouseError(
    'INVALID_ARGUMENT',
    `the parameter rule is "${wanted}", expected one of those that route "${record.name}" allows: ${allowed.join(', ')}`,
    { field: 'rule', hint: `leave it out for the route's own, ${record.rule}` },
  );
}

function combined(rule: RouteRule, route: RouteRevision, answers: readonly LegAnswer[], rows: number): OipTensor[] {
  const { classes, probabilities, legs } = combine(rule, answers, rows);
  const { classNames } = route.record;
  const shape = [rows];
  return [
    textTensor(
      'label',
      Array.from(classes, (index) => classNames[index] as string),
    ),
    { name: 'class', datatype: 'INT64', shape, values: BigInt64Array.from(classes, BigInt) },
    { name: 'probability', datatype: 'FP32', shape, values: probabilities },
    textTensor(
      'specialist',
      Array.from(legs, (index) => answers[index]?.specialist as string),
    ),
  ];
}

function remarks(rule: RouteRule, answers: readonly LegAnswer[]): Parameters {
  const timings = answers.map(({ specialist, elapsedMs }) => [`${specialist}_ms`, elapsedMs]);
  return { rule, partial: false, ...Object.fromEntries(timings) };
}

/** The inputs that all legs take; -1 where they differ, for there the images must come as files. */
function mergeInputs(legs: readonly (readonly TensorMetadata[])[]): TensorMetadata[] {
  const [first = [], ...others] = legs;
  return first.flatMap((input) => {
    const same = others.map((inputs) => inputs.find(({ name }) => name === input.name));
    if (same.includes(undefined)) return [];
    const shape = input.shape.map((size, axis) => (same.every((other) => other?.shape[axis] === size) ? size : -1));
    return [{ ...input, shape }];
  });
}
