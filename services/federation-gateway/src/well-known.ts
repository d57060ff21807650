import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CannotStart } from '@roost/core/cannot-start';
import { assert } from '@roost/core/assert';
import { DIRECTORY_BYTES_MAX, printDirectory } from '@roost/federation/directory';
import { type Page, tellPageTo } from '@roost/rpc/pages';
import type { ListenAddress } from '@roost/service/config';
import { DIRECTORY_PATH } from './discovery/document.ts';

/** What stands between may keep it for a moment; how long it is relied on stands inside. */
const MAX_AGE_S = 300;

/** The directory as it is published. */
export function pageOf(directory: Uint8Array): Page {
  const body = printDirectory(directory);
  assert(body.length <= DIRECTORY_BYTES_MAX, 'a directory is as long as others read');
  return { type: 'application/json', body, maxAgeS: MAX_AGE_S };
}

/**
 * A door of its own for the well-known address, plain HTTP, for the edge that has the certificate of the
 * domain: this one page, for GET and HEAD. Nothing that comes in is read.
 */
export async function serveDirectory(
  { host, port }: ListenAddress,
  page: () => Page,
): Promise<AsyncDisposable & { readonly port: number }> {
  const pages = new Map([[DIRECTORY_PATH, page]]);
  const server = createServer(LIMITS, (request, response) => {
    if (tellPageTo(pages, request, response)) return;
    const isThere = pages.has(request.url ?? '');
    const head = { connection: 'close', ...(isThere ? { allow: 'GET, HEAD' } : {}) };
    response.writeHead(isThere ? 405 : 404, head).end();
  });
  server.maxConnections = CONNECTIONS_MAX;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const told = `ROOST_DIRECTORY_LISTEN ${host}:${port} cannot be listened on: ${error}`;
      reject(new CannotStart(told, { cause: error }));
    });
    server.listen(port, host, resolve);
  });
  const bound = server.address() as AddressInfo;
  return {
    port: bound.port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const CONNECTIONS_MAX = 1_024;
const LIMITS = {
  ...{ maxHeaderSize: 8_192, headersTimeout: 5_000, requestTimeout: 5_000 },
  // Else those who are slow would be looked for every half a minute alone.
  ...{ connectionsCheckingInterval: 5_000, keepAliveTimeout: 30_000 },
};
