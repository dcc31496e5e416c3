/** What commands share that ask the coordinator of a running cluster. */
import type { CliContext } from './context.ts';
import { CoordinatorClient } from './coordinator-client.ts';
import { coordinatorAddress } from './options.ts';

export interface ClusterOption {
  readonly coordinator?: string;
}

export interface JsonOption extends ClusterOption {
  readonly json: boolean;
}

/** Runs `body` with a client that is closed afterwards. FAILED_PRECONDITION when there is no cluster to ask. */
export async function withCoordinator(
  options: ClusterOption,
  context: CliContext,
  body: (client: CoordinatorClient) => Promise<void>,
): Promise<void> {
  const client = new CoordinatorClient(coordinatorAddress(options.coordinator, context), context.signal);
  try {
    await body(client);
  } finally {
    client.close();
  }
}

/** Prints what was found: one JSON document, or lines for people. */
export function print(context: CliContext, json: boolean, document: unknown, lines: () => readonly string[]): void {
  for (const line of json ? [JSON.stringify(document)] : lines()) context.out(line);
}
