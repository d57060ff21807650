import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createNet } from 'node:net';
import { expect, test } from '@jest/globals';
import { createLog } from './log.ts';
import { startTelemetry } from './telemetry.ts';

const log = createLog('test', 'silent');

/** A process that makes one span and ends; what it loaded, said and how long its end took. */
async function program(environment: Record<string, string>) {
  const source = `
    import { trace } from '@opentelemetry/api';
    import { createLog } from './log.ts';
    import { startTelemetry } from './telemetry.ts';
    const log = createLog('qs', 'debug', { readable: false });
    const telemetry = await startTelemetry('qs', process.env, log);
    const loaded = Object.keys(globalThis[Symbol.for('opentelemetry.js.api.1')] ?? {});
    log.info({ reason: loaded.toSorted().join(' ') }, 'loaded');
    trace.getTracer('test').startActiveSpan('work', (span) => { log.info({}, 'inside'); span.end(); });
    const began = performance.now();
    await telemetry[Symbol.asyncDispose]();
    const open = process.getActiveResourcesInfo().filter((name) => /TCP|GetAddrInfo/.test(name));
    log.info({ durationMs: Math.round(performance.now() - began), count: open.length }, 'ended');`;
  const flags = ['--no-warnings', '--input-type=module', '--eval', source];
  const env = { PATH: process.env['PATH'], ...environment };
  const child = spawn(process.execPath, flags, { cwd: new URL('.', import.meta.url), env });
  let out = '';
  child.stdout.on('data', (text: Buffer) => (out += text.toString()));
  const [code]: unknown[] = await once(child, 'close');
  const lines = out.split('\n').filter((line) => line !== '');
  return { code, lines: lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

test('a span reaches the collector at the end of the process, without the name of the host', async () => {
  const bodies: Buffer[] = [];
  const server = createServer((request, response) => {
    request.on('data', (chunk: Buffer) => bodies.push(chunk));
    request.once('end', () => response.end());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const { lines, code } = await program({
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=trial',
  });
  server.close();
  expect(code).toBe(0);
  const exported = Buffer.concat(bodies).toString('latin1');
  expect(exported).toMatch(/trial[^]*roost-qs[^]*work/);
  expect(exported).not.toContain('host.');
  const inside = lines.find(({ msg }) => msg === 'inside');
  expect(inside).toMatchObject({ traceId: expect.stringMatching(/^[0-9a-f]{32}$/) });
  const traceId = Buffer.from(String(inside?.['traceId']), 'hex').toString('latin1');
  expect(exported).toContain(traceId);
});

test('where no collector is named nothing is exported or even set up, and no line has a trace', async () => {
  const { lines, code } = await program({ OTEL_EXPORTER_OTLP_HEADERS: 'key=value' });
  expect(code).toBe(0);
  expect(lines.map(({ msg }) => msg)).toEqual(['loaded', 'inside', 'ended']);
  expect(lines[0]).not.toHaveProperty('reason', expect.stringMatching(/trace|context|propagation/));
  expect(lines.at(-1)).toMatchObject({ count: 0 });
  expect(lines.some((line) => 'traceId' in line)).toBe(false);
});

test('a collector that hangs does not hold up the end', async () => {
  const silent = createNet().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as { port: number };
  const { lines, code } = await program({
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
  });
  silent.close();
  expect(code).toBe(0);
  expect(Number(lines.at(-1)?.['durationMs'])).toBeLessThan(4_000);
});

test('a wrong variable is refused with the remedy', async () => {
  const started = startTelemetry(
    'qs',
    { OTEL_EXPORTER_OTLP_ENDPOINT: 'collector', OTEL_TRACES_SAMPLER_ARG: '7' },
    log,
  );
  await expect(started).rejects.toThrow(
    'OTEL_EXPORTER_OTLP_ENDPOINT is wrong: give a URL, such as http://collector:4318.\n' +
      'OTEL_TRACES_SAMPLER_ARG is wrong: give a share from 0 to 1, such as 0.01.',
  );
});
