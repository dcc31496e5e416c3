/** `stillhouse predict IMAGE…`: what the router says about image files. */
import { type Command, Option } from 'commander';
import sharp from 'sharp';
import { StillhouseError } from '../../lib/base/errors.ts';
import { controlRouteOf } from '../../lib/wire/job-routes.ts';
import { OipClient, outputOf } from '../../lib/wire/oip/client.ts';
import type { InferResponse, ModelMetadata } from '../../lib/wire/oip/types.ts';
import { ROUTE_RULES } from '../../lib/wire/route-rules.ts';
import type { CliContext } from '../context.ts';
import { CoordinatorClient } from '../coordinator-client.ts';
import { coordinatorAddress, coordinatorOption, routerAddress } from '../options.ts';
import { percent, table } from '../text.ts';

interface PredictOptions {
  readonly route?: string;
  readonly rule?: string;
  readonly router?: string;
  readonly coordinator?: string;
  readonly json: boolean;
}

interface Prediction {
  readonly image: string;
  readonly label: string;
  readonly class: number;
  readonly probability: number;
  readonly specialist: string;
  /** By which the router answered. */
  readonly rule: string;
}

const TIMEOUT_MS = 15_000;

export function addPredictCommand(program: Command, context: CliContext): void {
  program
    .command('predict')
    .description('Classify image files (JPEG, PNG, WebP, …) through the router.')
    .argument('<image...>', 'image files; they are scaled to the model’s input size')
    .option('--route <name>', 'the route to ask (default: the only one there is, control routes apart)')
    .option(
      '--rule <rule>',
      `how the specialists' answers are combined: ${ROUTE_RULES.join(', ')} (default: the route's own)`,
    )
    .addOption(
      new Option('--router <host:port>', 'the router, gRPC (default: the local cluster’s)').env('STILLHOUSE_ROUTER'),
    )
    .addOption(coordinatorOption())
    .option('--json', 'print a line of JSON per image', false)
    .addHelpText(
      'after',
      '\nExamples:\n  $ stillhouse predict cat.jpg dog.png\n  $ stillhouse predict --route cifar10-specialists --json cat.jpg\n  $ stillhouse predict --rule max-logit cat.jpg',
    )
    .action((images: string[], options: PredictOptions) => predict(images, options, context));
}

async function predict(images: readonly string[], options: PredictOptions, context: CliContext): Promise<void> {
  const client = new OipClient(routerAddress(options.router, context));
  const limits = { timeoutMs: TIMEOUT_MS, signal: context.signal };
  // Whether the route allows the rule is for the router to say.
  const parameters = options.rule === undefined ? {} : { rule: options.rule };
  try {
    const route = options.route ?? (await onlyRoute(options, context));
    const size = inputSize(await client.metadata(route, '', limits));
    const predictions: Prediction[] = [];
    for (const image of images) {
      const { pixels, height, width } = await readImage(image, size);
      const input = { name: 'image', datatype: 'UINT8' as const, shape: [1, height, width, 3], values: pixels };
      const response = await client.infer({ modelName: route, parameters, inputs: [input] }, limits);
      const prediction = readPrediction(image, response);
      if (options.json) context.out(JSON.stringify(prediction));
      predictions.push(prediction);
    }
    if (!options.json) for (const line of predictionLines(predictions)) context.out(line);
  } finally {
    client.close();
  }
}

/** The route of a control arm stands beside the one that it is compared with; nobody means it without naming it. */
export function onlyRouteOf(names: readonly string[]): string | undefined {
  const controls = new Set(names.map(controlRouteOf));
  const [first, ...others] = names.filter((name) => !controls.has(name));
  return others.length === 0 ? first : undefined;
}

async function onlyRoute(options: PredictOptions, context: CliContext): Promise<string> {
  const client = new CoordinatorClient(coordinatorAddress(options.coordinator, context), context.signal);
  try {
    const names = (await client.routes()).map(({ name }) => name);
    const only = onlyRouteOf(names);
    if (only !== undefined) return only;
    const message = names.length === 0 ? 'no route has been published yet' : `there are ${names.length} routes`;
    const hint = names.length === 0 ? 'run a job first' : `choose one with --route: ${names.join(', ')}`;
    throw new StillhouseError('FAILED_PRECONDITION', message, { field: '--route', hint });
  } finally {
    client.close();
  }
}

interface Size {
  readonly height: number;
  readonly width: number;
}

/** Of the model's `image` input; undefined where it takes any size. */
function inputSize(metadata: ModelMetadata): Size | undefined {
  const [, height, width] = metadata.inputs.find(({ name }) => name === 'image')?.shape ?? [];
  return height !== undefined && width !== undefined && height > 0 && width > 0 ? { height, width } : undefined;
}

/** RGB 0..255, [height, width, 3], scaled to `size` when there is one. */
async function readImage(path: string, size: Size | undefined): Promise<Size & { pixels: Uint8Array }> {
  try {
    let image = sharp(path).rotate().flatten().toColourspace('srgb');
    if (size !== undefined) image = image.resize(size.width, size.height, { fit: 'fill' });
    const { data, info } = await image.removeAlpha().raw().toBuffer({ resolveWithObject: true });
    return { pixels: new Uint8Array(data), height: info.height, width: info.width };
  } catch (error) {
    const message = `cannot read the image ${path}: ${error instanceof Error ? error.message : String(error)}`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { field: path, cause: error });
  }
}

function readPrediction(image: string, response: InferResponse): Prediction {
  const first = (name: string) => outputOf(response, name).values[0];
  return {
    image,
    label: textOf(first('label')),
    class: Number(first('class')),
    probability: Number(first('probability')),
    specialist: textOf(first('specialist')),
    rule: String(response.parameters.rule),
  };
}

/** BYTES values may arrive as bytes. */
function textOf(value: unknown): string {
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : String(value);
}

function predictionLines(predictions: readonly Prediction[]): string[] {
  const rows = predictions.map(({ image, label, probability, specialist }) => [
    image,
    label,
    percent(probability),
    specialist,
  ]);
  return table([['IMAGE', 'LABEL', 'PROBABILITY', 'SPECIALIST'], ...rows]);
}
