// Whose word counts about traces: of a process of this homeserver, by its certificate, and of nobody else.
// A client that says "I am traced" is neither traced for it, nor does it get into anybody's trace.
import { readFileSync } from 'node:fs';
import { connect as connectHttp2, type SecureClientSessionOptions } from 'node:http2';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { continueTrace } from '@roost/bus/trace';
import { certificatesOf } from '@roost/e2e/servers/certificates';
import { clientOf, connectPeer } from '@roost/rpc/client';
import { echoBinding, EchoDefinition, home } from '@roost/rpc/echo.fixture';
import { frame } from '@roost/rpc/frames';
import { type RunningServer, serve } from '@roost/rpc/server';
import { createLog } from '@roost/service/log';
import { startTelemetry } from '@roost/service/telemetry';
import { Collector } from './collector.ts';
import type { ExportedSpan } from './otlp.ts';

const log = createLog('test', 'silent');
const OPEN = 'roost.echo.v1.EchoService/Open';
const SERVICE = 'roost.echo.v1.EchoService/Service';

let collector: Collector;
let certificates: string;
let telemetry: AsyncDisposable;
let door: RunningServer;
let inside: RunningServer;

beforeAll(async () => {
  certificates = await certificatesOf(home);
  collector = await Collector.open();
  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = collector.endpoint;
  // Nothing is exported but what somebody asks for who is believed.
  process.env['OTEL_TRACES_SAMPLER'] = 'parentbased_always_off';
  process.env['OTEL_BSP_SCHEDULE_DELAY'] = '20';
  telemetry = await startTelemetry('echo', process.env, log);
  const listen = { host: '127.0.0.1', port: 0 };
  const bindings = [echoBinding({})];
  door = await serve({ listen, bindings, callers: 'edge', log });
  const callers = { certifiedBy: home };
  inside = await serve({ listen, bindings, callers, tls: identityOf('qs'), log });
});
afterAll(async () => {
  await Promise.all([door.close(0), inside.close(0)]);
  await telemetry[Symbol.asyncDispose]();
  await collector[Symbol.asyncDispose]();
});

function identityOf(name: string) {
  const read = (file: string): string => readFileSync(join(certificates, file), 'utf8');
  return { ca: read('ca.crt'), cert: read(`${name}.crt`), key: read(`${name}.key`) };
}

/** A call with this header, and what was exported of it a moment later. */
async function call(
  server: RunningServer,
  path: string,
  traceparent: string,
  tls?: SecureClientSessionOptions,
): Promise<ExportedSpan[]> {
  const scheme = tls === undefined ? 'http' : 'https';
  const session = connectHttp2(`${scheme}://${server.address}`, tls);
  const headers = { ':method': 'POST', ':path': `/${path}`, 'content-type': 'application/grpc' };
  const stream = session.request({ ...headers, traceparent });
  stream.end(frame(new Uint8Array(0)));
  const [answer] = (await once(stream, 'response')) as [Record<string, string>];
  expect(answer[':status']).toBe(200);
  stream.resume();
  await once(stream, 'close');
  session.close();
  return await exported();
}

async function exported(): Promise<ExportedSpan[]> {
  await new Promise((resolve) => setTimeout(resolve, 300));
  return collector.spans.splice(0);
}

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SAMPLED = `00-${TRACE}-b7ad6b7169203331-01`;

test('at the public door a client does not decide what is traced', async () => {
  expect(await call(door, OPEN, SAMPLED)).toEqual([]);
});

test('a process of this homeserver is believed: its trace goes on', async () => {
  const tls = { ...identityOf('edge'), checkServerIdentity: () => undefined };
  const spans = await call(inside, OPEN, SAMPLED, tls);
  expect(spans.map(({ name, traceId, parentId }) => ({ name, traceId, parentId }))).toEqual([
    { name: OPEN, traceId: TRACE, parentId: 'b7ad6b7169203331' },
  ]);
});

test('what a caller makes up as a method is no name of a span, nor is a header that is none', async () => {
  const tls = { ...identityOf('edge'), checkServerIdentity: () => undefined };
  const made = 'roost.echo.v1.EchoService/alice@example.org';
  const spans = await call(inside, made, SAMPLED, tls);
  expect(spans.map(({ name }) => name)).toEqual(['unknown']);
  expect(JSON.stringify([...(spans[0]?.attributes ?? [])])).not.toContain('alice');
  for (const header of [`00-${TRACE}-b7ad6b7169203331-00`, 'alice', `01-${TRACE}`, '']) {
    expect(await call(inside, OPEN, header, tls)).toEqual([]);
  }
});

test('a service that calls another hands its trace on, and no text of the call with it', async () => {
  using channel = connectPeer([inside.address], { domain: home, name: 'qs' }, identityOf('ds'));
  const client = clientOf(EchoDefinition, channel);
  const request = { typeUrl: 'alice', value: new Uint8Array(3) };
  const refused = continueTrace(SAMPLED, () => client.service(request));
  await expect(refused).rejects.toMatchObject({ reason: 'METHOD_UNKNOWN' });
  const spans = await exported();
  const [served] = spans.filter(({ kind }) => kind === 2);
  const [calling] = spans.filter(({ kind }) => kind === 3);
  expect(calling).toMatchObject({ name: SERVICE, traceId: TRACE, parentId: 'b7ad6b7169203331' });
  expect(served).toMatchObject({ name: SERVICE, traceId: TRACE, parentId: calling?.spanId });
  expect(served?.attributes.get('roost.reason')).toBe('METHOD_UNKNOWN');
  expect(Buffer.concat(collector.raw).toString('latin1')).not.toContain('alice');
});
