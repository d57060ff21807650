import { once } from 'node:events';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';

/** Of `localhost` and 127.0.0.1, signed by itself; good for nothing but tests. */
export const certificate = `-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUcHrINlILKk6DL3UKfLO4EPAhGFAwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTA3MzcyNVoYDzIxMjYxMDI4
MDczNzI1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATJ7cL7hRrFcyQupUZYZX7xlQx5vw9RR0AtKSJD4C7RLsF2ylwwtPcK
DasRxdU9Of4PWXEb4EIDm9J4TIGlI7L8o28wbTAdBgNVHQ4EFgQUcR4srHdByjZu
gBY7ZlRUcK09E4AwHwYDVR0jBBgwFoAUcR4srHdByjZugBY7ZlRUcK09E4AwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIgc3OGHHXO1gisVYRnNGZ5CslBlbxqWn+pECWWikYmGeQCIQCL
MhoUyQw0Z9dyb0G2IGlsQ0gKszfkrth3vP59hounzg==
-----END CERTIFICATE-----
`;
const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgZr2i0/HwJfrSLGQP
TW4+wMfWmXv9HmvA6cvzDZbEPzWhRANCAATJ7cL7hRrFcyQupUZYZX7xlQx5vw9R
R0AtKSJD4C7RLsF2ylwwtPcKDasRxdU9Of4PWXEb4EIDm9J4TIGlI7L8
-----END PRIVATE KEY-----
`;

export interface Asked {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
}

/** A push provider on this machine: real HTTPS, with the answers that a test wants. */
export class PushProvider implements AsyncDisposable {
  readonly asked: Asked[] = [];
  answer: (response: ServerResponse) => void = (response) => response.writeHead(201).end();
  readonly #server = createServer({ cert: certificate, key }, (request, response) => {
    const parts: Uint8Array[] = [];
    request.on('data', (part: Uint8Array) => parts.push(part));
    request.on('end', () => {
      const { method = '', headers } = request;
      this.asked.push({ method, headers, body: Uint8Array.from(Buffer.concat(parts)) });
      this.answer(response);
    });
  });

  static async open(): Promise<PushProvider> {
    const provider = new PushProvider();
    provider.#server.listen(0, '127.0.0.1');
    await once(provider.#server, 'listening');
    return provider;
  }

  get port(): number {
    const address: AddressInfo | string | null = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
