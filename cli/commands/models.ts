/** `stillhouse models …`: the published models of a running cluster. */
import { type Command, Option } from 'commander';
import { parseModelManifest } from '../../lib/model/artefact.ts';
import type { CliContext } from '../context.ts';
import type { Model } from '../coordinator-client.ts';
import { type JsonOption, print, withCoordinator } from '../coordinator-command.ts';
import { downloadModel } from '../download-model.ts';
import { coordinatorOption, natsAddress } from '../options.ts';
import { counted, grouped, percent, table } from '../text.ts';

interface GetOptions extends JsonOption {
  readonly out?: string;
  readonly nats?: string;
}

export function addModelsCommand(program: Command, context: CliContext): void {
  const models = program
    .command('models')
    .description('The published models of a running cluster: list them, look at one, fetch it.')
    .addHelpText('after', '\nExample:\n  $ stillhouse models list');
  models
    .command('list')
    .description('List all published models by name, the latest of each.')
    .option('--json', 'print a JSON array', false)
    .addOption(coordinatorOption())
    .addHelpText('after', '\nExamples:\n  $ stillhouse models list\n  $ stillhouse models list --json')
    .action((options: JsonOption) =>
      withCoordinator(options, context, async (client) => {
        const described = (await client.models()).map(describe);
        print(context, options.json, described, () => listLines(described));
      }),
    );
  models
    .command('get')
    .description('Show a published model, or fetch it as a folder with model.json and weights.safetensors.')
    .argument('<name>', 'the model’s name, <job>/<student>, or its digest')
    .option('--json', 'print the model as JSON', false)
    .option('--out <folder>', 'the folder to write; it must not exist')
    .addOption(new Option('--nats <url>', 'where the models are kept (default: the local cluster’s)').env('NATS_URL'))
    .addOption(coordinatorOption())
    .addHelpText(
      'after',
      '\nExamples:\n  $ stillhouse models get quickstart/animals\n  $ stillhouse models get quickstart/animals --out animals',
    )
    .action((name: string, options: GetOptions) => get(name, options, context));
}

async function get(name: string, options: GetOptions, context: CliContext): Promise<void> {
  await withCoordinator(options, context, async (client) => {
    const model = describe(await client.model(name));
    if (options.out !== undefined) {
      const nats = natsAddress(options.nats, options.coordinator, context);
      await downloadModel(nats, model.digest, options.out, context.signal);
      context.note(`wrote ${options.out}: ${model.name}`);
    }
    print(context, options.json, model, () => modelLines(model));
  });
}

type Described = ReturnType<typeof describe>;

/** The API's model with its manifest as an object, not as text in text. */
function describe({ manifestJson, ...rest }: Model) {
  return { ...rest, manifest: parseModelManifest(new TextEncoder().encode(manifestJson), `model ${rest.name}`) };
}

const accuracyOf = ({ manifest }: Described) => manifest.metrics?.testAccuracy ?? null;

function listLines(models: readonly Described[]): string[] {
  if (models.length === 0) return ['no models yet'];
  const rows = models.map((model) => {
    const { name, digest, publishedAt, manifest } = model;
    const { architecture, weights, classNames } = manifest;
    const numbers = [grouped(weights.parameters), String(classNames.length), percent(accuracyOf(model))];
    return [name, architecture.name, ...numbers, publishedAt, digest];
  });
  return table([['NAME', 'ARCHITECTURE', 'VALUES', 'CLASSES', 'ACCURACY', 'PUBLISHED', 'DIGEST'], ...rows]);
}

function modelLines(model: Described): string[] {
  const { name, digest, publishedAt, jobId, manifest } = model;
  const { architecture, weights, classNames, dustbin, input, preprocessing } = manifest;
  return [
    name,
    `digest         ${digest}`,
    `published      ${publishedAt}, by job ${jobId}`,
    `architecture   ${architecture.name}, ${counted(weights.parameters, 'value')}`,
    `images         ${input.height} x ${input.width}, mean ${preprocessing.mean}, std ${preprocessing.std}`,
    `classes        ${classNames.join(', ')}${dustbin === true ? ', and a dustbin' : ''}`,
    `test accuracy  ${percent(accuracyOf(model))}`,
  ];
}
