/** What a job says of a model of another framework, held against what the model says of itself. */
import { StillhouseError } from '../../base/errors.ts';
import type { ImageShape } from '../../data/manifest.ts';
import { type ImageInput, inputShape } from '../../distill/image-input.ts';
import type { PortFact } from '../../engine/ports.ts';
import type { ModelSignature } from '../job-spec.ts';

/** Either list is empty where the model, or its server, says nothing. */
export interface ModelPorts {
  readonly inputs: readonly PortFact[];
  readonly outputs: readonly PortFact[];
}

/** How the model is asked. */
export interface ModelFit {
  readonly input: ImageInput & { readonly name: string };
  /** Of one row of the input. */
  readonly rowShape: readonly number[];
  readonly output: string;
  readonly kind: 'logits' | 'probabilities';
  /** Rows of every call; undefined: any. */
  readonly batch: number | undefined;
  readonly classNames: readonly string[];
}

/** Types of numbers that pass between us and a model, as ports name them. */
export interface NumberTypes {
  /** Of inputs that pixels can be given to as they are written in the job: floats, or bytes. */
  readonly floats: readonly string[];
  readonly bytes: readonly string[];
  /** Of outputs that can be read. */
  readonly outputs: readonly string[];
}

/** Of each kind of source. TensorFlow.js has no type of its own for bytes, and computes in single precision only. */
export const NUMBER_TYPES: Readonly<Record<'onnx' | 'saved-model' | 'tfjs' | 'endpoint', NumberTypes>> = {
  onnx: { floats: ['float32', 'float16'], bytes: ['uint8'], outputs: ['float32', 'float16', 'float64'] },
  'saved-model': { floats: ['float32'], bytes: ['uint8'], outputs: ['float32'] },
  tfjs: { floats: ['float32'], bytes: ['int32'], outputs: ['float32'] },
  endpoint: { floats: ['float32'], bytes: ['uint8'], outputs: ['float32', 'float16', 'float64'] },
};

export interface FitOptions {
  readonly types: NumberTypes;
  /** The source's place in the job file, e.g. `teachers[0].from`. */
  readonly path: string;
  /** Of the images that are to be predicted. */
  readonly image: ImageShape;
  /** Of the data set. */
  readonly classNames: readonly string[];
}

/**
 * @throws INVALID_ARGUMENT naming the key in the job file, with what the model has: another input or output, shape, type or number of
 *   classes
 */
export function fitSignature(signature: ModelSignature, ports: ModelPorts, options: FitOptions): ModelFit {
  const { path, image, types, classNames: dataClasses } = options;
  const { name, layout, size, type, scale, mean, std, batch } = signature.input;
  const port = choose(ports.inputs, name, { what: 'input', path });
  const [height, width] = [size ?? image.height, size ?? image.width];
  const input: ImageInput = { layout, height, width, type, scale, mean, std };
  requireType(port, type, options);
  const rowShape = rowShapeOf(port, input, options);
  const output = choose(ports.outputs, signature.output.name, { what: 'output', path });
  requireFloats(output, types, path);
  const classNames = signature.classNames ?? dataClasses;
  requireClasses(output, signature.classNames, classNames, path);
  const fixed = positive(port.shape?.[0]);
  if (batch !== undefined && fixed !== undefined && batch !== fixed) {
    const message = `the model takes ${fixed} images at a time, not ${batch}`;
    throw refusal(`${path}.input.batch`, message, 'leave it out: the model says it itself');
  }
  return {
    input: { ...input, name: port.name },
    rowShape,
    output: output.name,
    kind: signature.output.kind,
    batch: batch ?? fixed,
    classNames,
  };
}

/** Ports as a sentence lists them. */
export function describePorts(ports: readonly PortFact[]): string {
  return ports
    .map(({ name, type, shape }) => `${name} ${type} ${shape === null ? '' : shapeText(shape)}`.trim())
    .join(', ');
}

function choose(
  ports: readonly PortFact[],
  name: string | undefined,
  { what, path }: { readonly what: 'input' | 'output'; readonly path: string },
): PortFact {
  const field = `${path}.${what}.name`;
  if (ports.length === 0) {
    if (name !== undefined) return { name, type: 'unknown', shape: null };
    throw refusal(field, `the server does not say what the model's ${what} is called`, 'name it');
  }
  const found = name === undefined && ports.length === 1 ? ports[0] : ports.find((port) => port.name === name);
  if (found !== undefined) return found;
  const problem = name === undefined ? `the model has ${ports.length} ${what}s` : `the model has no ${what} "${name}"`;
  throw refusal(field, problem, `its ${what}s are: ${describePorts(ports)}`);
}

function requireType({ name, type }: PortFact, wanted: ImageInput['type'], { path, types }: FitOptions): void {
  const { floats, bytes } = types;
  if (type === 'unknown' || (wanted === 'uint8' ? bytes : floats).includes(type)) return;
  const hint =
    wanted === 'float32' && bytes.includes(type)
      ? 'set type: uint8'
      : `only ${[...floats, ...bytes].join(' and ')} can be given`;
  throw refusal(`${path}.input.type`, `the model's input ${name} is ${type}, not ${wanted}`, hint);
}

/** As the layout has it; flat for a model that takes rows of numbers. */
function rowShapeOf(port: PortFact, input: ImageInput, { path, image }: FitOptions): readonly number[] {
  const [, ...expected] = inputShape(input, 1) as [number, ...number[]];
  if (port.shape === null) return expected;
  const [, ...actual] = port.shape;
  const agrees = (one: readonly number[]) =>
    one.length === actual.length && actual.every((length, axis) => length < 0 || length === one[axis]);
  if (agrees(expected)) return expected;
  const flat = [expected.reduce((product, length) => product * length, 1)];
  if (agrees(flat)) return flat;
  const message = `the model's input ${port.name} is ${shapeText(port.shape)}, images would come as ${shapeText([-1, ...expected])}`;
  const other = input.layout === 'nhwc' ? 'nchw' : 'nhwc';
  const [, ...turned] = inputShape({ ...input, layout: other }, 1) as [number, ...number[]];
  if (agrees(turned)) throw refusal(`${path}.input.layout`, message, `set layout: ${other}`);
  const side = sideOf(actual);
  const hint =
    side === undefined
      ? 'a teacher takes colour images, [batch, height, width, 3] or [batch, 3, height, width]'
      : `images of ${image.height}x${image.width} are scaled by size: ${side}`;
  throw refusal(`${path}.input.size`, message, hint);
}

/** Of a model that takes square colour images, in either layout. */
function sideOf(shape: readonly number[]): number | undefined {
  const [first, second, third] = shape;
  if (third === 3 && first === second) return positive(first);
  return first === 3 && second === third ? positive(second) : undefined;
}

function requireFloats({ name, type }: PortFact, { outputs }: NumberTypes, path: string): void {
  if (type === 'unknown' || outputs.includes(type)) return;
  const message = `the model's output ${name} is ${type}, expected logits or probabilities as ${outputs.join(' or ')}`;
  throw refusal(`${path}.output.name`, message, 'convert the output to float32 in the model');
}

function requireClasses(
  port: PortFact,
  given: readonly string[] | undefined,
  classNames: readonly string[],
  path: string,
): void {
  const [, classes, ...rest] = port.shape ?? [];
  if (classes === undefined || classes < 0 || rest.some((length) => length < 0)) return;
  if (classes === classNames.length && rest.every((length) => length === 1)) return;
  const shape = shapeText(port.shape as readonly number[]);
  const whose = given === undefined ? 'the data set has' : 'classNames names';
  const message = `the model's output ${port.name} is ${shape}, ${whose} ${classNames.length} classes`;
  throw refusal(`${path}.classNames`, message, 'name the classes of the model, in the order of its outputs');
}

function positive(length: number | undefined): number | undefined {
  return length !== undefined && length > 0 ? length : undefined;
}

function shapeText(shape: readonly number[]): string {
  return `[${shape.map((length) => (length < 0 ? 'any' : length)).join(', ')}]`;
}

function refusal(field: string, message: string, hint?: string): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', `${field}: ${message}`, {
    field,
    ...(hint !== undefined && { hint }),
  });
}
