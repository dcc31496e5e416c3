/** `stillhouse architectures`: the networks that job files can name. */
import type { Command } from 'commander';
import { describeModel } from '../../lib/model/parameters.ts';
import { architectureNamed, architectureSummaries, usualInputSize } from '../../lib/model/zoo.ts';
import type { CliContext } from '../context.ts';
import { grouped, table } from '../text.ts';

interface ArchitecturesOptions {
  readonly json: boolean;
}

const CLASSES = 10;
const CHANNELS = 3;

export function addArchitecturesCommand(program: Command, context: CliContext): void {
  program
    .command('architectures')
    .description('List the networks that `arch` in a job file can name.')
    .option('--json', 'print one JSON document', false)
    .addHelpText('after', '\nExample:\n  $ stillhouse architectures')
    .action(({ json }: ArchitecturesOptions) => listArchitectures(json, context));
}

function listArchitectures(json: boolean, context: CliContext): void {
  const architectures = architectureSummaries.map(({ name, summary }) => {
    const inputSize = usualInputSize(name);
    const input = { height: inputSize, width: inputSize, channels: CHANNELS };
    const { parameterCount, blocks } = describeModel(architectureNamed(name), input, CLASSES);
    return { name, inputSize, classes: CLASSES, parameters: parameterCount, blocks, summary };
  });
  if (json) {
    context.out(JSON.stringify(architectures));
    return;
  }
  const rows = architectures.map(({ name, inputSize, parameters, blocks, summary }) => {
    return [name, String(inputSize), grouped(parameters), String(blocks), summary];
  });
  for (const line of table([['NAME', 'IMAGES', 'PARAMETERS', 'BLOCKS', ''], ...rows])) context.out(line);
  context.note(
    `\nParameters for ${CLASSES} classes at the usual size of the images; \`inputSize\` in a job file sets another.`,
  );
}
