import { createServer, type ServerResponse } from 'node:http';
import { CannotStart } from '@roost/core/cannot-start';
import type { ListenAddress } from './config.ts';
import { PROMETHEUS_CONTENT_TYPE } from './metrics.ts';

/** How a process is doing. */
export interface State {
  /** Why it should be sent no calls; empty where it should. */
  readonly missing: readonly string[];
  /** What it can do without for a while, but is not there. */
  readonly away: readonly string[];
}

export interface HealthPages {
  readonly state: () => Promise<State>;
  /** What Prometheus reads. */
  readonly metrics: () => Promise<string>;
}

/**
 * A door of its own, for whoever looks after the process: `/livez` (the process turns; nothing else is asked),
 * `/readyz` (503 names what is missing), `/metrics`. Plain HTTP, inside only.
 */
export async function serveHealth(
  { host, port }: ListenAddress,
  pages: HealthPages,
): Promise<AsyncDisposable> {
  const server = createServer(LIMITS, (request, response) => {
    // The request is not read, and what goes wrong ends this answer alone.
    answer(request.url ?? '', response, pages).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        new CannotStart(`ROOST_HEALTH_LISTEN ${host}:${port} cannot be listened on: ${error}`, {
          cause: error,
        }),
      );
    });
    server.listen(port, host, resolve);
  });
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answer(
  path: string,
  response: ServerResponse,
  { state, metrics }: HealthPages,
): Promise<void> {
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  switch (path) {
    case '/livez':
      response.end('alive\n');
      return;
    case '/readyz': {
      const { missing, away } = await state();
      response.statusCode = missing.length === 0 ? 200 : 503;
      const lines = [
        missing.length === 0 ? 'ready' : 'not ready',
        ...missing.map((name) => `missing: ${name}`),
        ...away.map((name) => `away: ${name}`),
      ];
      response.end(lines.map((line) => `${line}\n`).join(''));
      return;
    }
    case '/metrics':
      response.setHeader('content-type', PROMETHEUS_CONTENT_TYPE);
      response.end(await metrics());
      return;
    default:
      response.statusCode = 404;
      response.end('there is /livez, /readyz and /metrics\n');
  }
}

const LIMITS = { maxHeaderSize: 8_192, headersTimeout: 5_000, requestTimeout: 5_000 };
