/** The part of the Coordinator service about published models and routes. */
import { StillhouseError } from '../../lib/base/errors.ts';
import type { Model } from '../../lib/wire/generated/stillhouse/v1/Model.ts';
import type { Route, Route__Output } from '../../lib/wire/generated/stillhouse/v1/Route.ts';
import type { Implementation } from '../../lib/wire/grpc.ts';
import type { ModelRecord, RouteRecord } from '../../lib/wire/records.ts';
import type { Registry, RouteRevision } from './registry.ts';

type ModelMethods = 'ListModels' | 'GetModel' | 'PutRoute' | 'GetRoute' | 'ListRoutes' | 'RollbackRoute';

export function modelsApi(registry: Registry): Pick<Implementation<'Coordinator'>, ModelMethods> {
  return {
    ListModels: async () => ({ models: (await registry.listModels()).map(modelMessage) }),
    GetModel: async ({ nameOrDigest }) => modelMessage(await registry.getModel(nameOrDigest)),
    PutRoute: async ({ route, expectedRevision }) => {
      const record = routeRecord(route);
      return routeMessage({ route: record, revision: await registry.putRoute(record, expectedRevision) });
    },
    GetRoute: async ({ name }) => routeMessage(await registry.getRoute(name)),
    ListRoutes: async () => ({ routes: (await registry.listRoutes()).map(routeMessage) }),
    RollbackRoute: async ({ name, toRevision }) => routeMessage(await registry.rollbackRoute(name, toRevision)),
  };
}

function modelMessage(model: ModelRecord): Model {
  return { ...model };
}

function routeMessage({ route, revision }: RouteRevision): Route {
  return { ...route, revision };
}

function routeRecord(route: Route__Output | null): RouteRecord {
  if (route === null) throw new StillhouseError('INVALID_ARGUMENT', 'the route is missing', { field: 'route' });
  const { name, rule, classNames, legs } = route;
  // `checkRoute` refuses any other rule.
  return { name, rule: rule as RouteRecord['rule'], classNames, legs };
}
