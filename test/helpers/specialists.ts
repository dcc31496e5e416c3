/** Specialist servers with small real models, in this process, on free ports. */
import type { ExecutionContext } from 'ava';
import { sha256 } from '../../lib/base/digest.ts';
import { serveInference } from '../../lib/wire/oip/server.ts';
import type { Specialist } from '../../services/router/route-table.ts';
import { SpecialistServer } from '../../services/student-worker/serve.ts';
import { type ColourWeights, LinearPredictor, manifestOf } from './linear-model.ts';
import { testLogger } from './logger.ts';

export interface SmallModel {
  readonly digest: string;
  readonly classNames: readonly string[];
  readonly dustbin: boolean;
  /** Of its images; 4 x 4 when absent. */
  readonly size?: { readonly height: number; readonly width: number };
  readonly weights: ColourWeights;
}

type Colour = readonly [number, number, number];

export function smallModel(name: string, classes: Readonly<Record<string, Colour>>, dustbin?: Colour): SmallModel {
  const weights = [...Object.values(classes), ...(dustbin === undefined ? [] : [dustbin])];
  return { digest: sha256(name), classNames: Object.keys(classes), dustbin: dustbin !== undefined, weights };
}

export interface RunningSpecialist extends Specialist {
  readonly server: SpecialistServer;
  /** Of each model, by digest. */
  readonly predictors: ReadonlyMap<string, LinearPredictor>;
  stop(): Promise<void>;
}

/** Serves the models until the test ends or `stop`. */
export async function startSpecialist(
  t: ExecutionContext,
  id: string,
  models: readonly SmallModel[],
): Promise<RunningSpecialist> {
  const predictors = new Map<string, LinearPredictor>();
  const server = new SpecialistServer({
    load: async (digest) => {
      const model = models.find((candidate) => candidate.digest === digest) as SmallModel;
      const predictor = new LinearPredictor(model.weights);
      predictors.set(digest, predictor);
      return { manifest: manifestOf(id, model.classNames, model), predictor };
    },
    retireAfterMs: 0,
    logger: testLogger(),
  });
  await server.serveModels(models.map(({ digest }) => ({ name: `served.${digest.slice(7, 15)}`, digest })));
  const ports = { host: '127.0.0.1', port: 0, httpPort: 0, healthPort: 0 };
  const listening = await serveInference(server, ports, testLogger());
  let stopped: Promise<void> | undefined;
  const stop = () => {
    stopped ??= listening.stop(100).then(() => server.close());
    return stopped;
  };
  t.teardown(stop);
  const modelDigests = models.map(({ digest }) => digest);
  return { id, address: `127.0.0.1:${listening.port}`, modelDigests, server, predictors, stop };
}
