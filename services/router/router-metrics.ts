/** What the router tells Prometheus. */
import type { Metrics } from '../../lib/wire/metrics.ts';
import type { Router } from './router.ts';

export function addRouterMetrics(metrics: Metrics, router: Router): void {
  metrics.gauge('stillhouse_router_route_revision', 'Revision of each route that answers.', () =>
    Object.entries(router.routes()).map(([route, value]) => ({ labels: { route }, value })),
  );
}
