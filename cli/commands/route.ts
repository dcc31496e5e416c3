/** `stillhouse route …`: what the router of a running cluster serves. */
import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import type { Route } from '../coordinator-client.ts';
import { type JsonOption, print, withCoordinator } from '../coordinator-command.ts';
import { coordinatorOption } from '../options.ts';
import { table } from '../text.ts';

export function addRouteCommand(program: Command, context: CliContext): void {
  const route = program
    .command('route')
    .description('The routes of a running cluster: which models the router asks, and how it joins them.')
    .addHelpText('after', '\nExample:\n  $ stillhouse route list');
  route
    .command('list')
    .description('List all routes by name.')
    .option('--json', 'print a JSON array', false)
    .addOption(coordinatorOption())
    .addHelpText('after', '\nExamples:\n  $ stillhouse route list\n  $ stillhouse route list --json')
    .action((options: JsonOption) =>
      withCoordinator(options, context, async (client) => {
        const routes = await client.routes();
        print(context, options.json, routes, () => listLines(routes));
      }),
    );
  route
    .command('get')
    .description('Show a route, its specialists and their classes.')
    .argument('<name>', 'the route’s name')
    .option('--json', 'print the route as JSON', false)
    .addOption(coordinatorOption())
    .addHelpText(
      'after',
      '\nExamples:\n  $ stillhouse route get quickstart\n  $ stillhouse route get quickstart --json',
    )
    .action((name: string, options: JsonOption) =>
      withCoordinator(options, context, async (client) => {
        const found = await client.route(name);
        print(context, options.json, found, () => routeLines(found));
      }),
    );
}

function listLines(routes: readonly Route[]): string[] {
  if (routes.length === 0) return ['no routes yet'];
  const rows = routes.map(({ name, rule, legs, classNames, revision }) => {
    const specialists = legs.map(({ specialist }) => specialist).join(', ');
    return [name, rule, String(classNames.length), String(revision), specialists];
  });
  return table([['NAME', 'RULE', 'CLASSES', 'REVISION', 'SPECIALISTS'], ...rows]);
}

function routeLines({ name, rule, legs, classNames, revision }: Route): string[] {
  const rows = legs.map(({ specialist, modelDigest, classIds, dustbin }) => {
    const classes = classIds.map((id) => classNames[id] ?? String(id)).join(', ');
    return [specialist, modelDigest, dustbin ? 'yes' : 'no', classes];
  });
  return [
    `${name}  ${rule}  revision ${revision}`,
    ...table([['SPECIALIST', 'MODEL', 'DUSTBIN', 'CLASSES'], ...rows]).map((line) => `  ${line}`),
  ];
}
