import type { Environment, ListenAddress } from '@roost/service/config';
import type { State } from '@roost/service/health';
import type { Log } from '@roost/service/log';
import { startTelemetry } from '@roost/service/telemetry';

/** What an operator sees of this process, where it was asked for: pages on a port of their own, and traces. */
export interface Watch extends AsyncDisposable {
  /** Opens the port, once there is something to say. */
  serve(state: () => Promise<State>): Promise<void>;
}

/** To be opened before anything that counts. What nobody asked for is not even loaded. */
export async function openWatch(
  listen: ListenAddress | undefined,
  environment: Environment,
  log: Log,
): Promise<Watch> {
  await using opened = new AsyncDisposableStack();
  opened.use(await startTelemetry('homeserver', environment, log));
  const pages = listen === undefined ? undefined : await openPages(listen);
  if (pages !== undefined) opened.use(pages);
  const all = opened.move();
  return {
    serve: async (state) => await pages?.serve(state),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

async function openPages(listen: ListenAddress): Promise<Watch> {
  const { startMetrics } = await import('@roost/service/metrics');
  const { serveHealth } = await import('@roost/service/health');
  await using opened = new AsyncDisposableStack();
  const metrics = opened.use(startMetrics({ service: 'homeserver', version: VERSION }));
  const all = opened.move();
  return {
    async serve(state) {
      all.use(await serveHealth(listen, { state, metrics: () => metrics.page() }));
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

const VERSION = '0.0.0';
