// What a homeserver tells Prometheus: each number under a name that stays, labels that cannot grow, and
// nothing of anybody.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Failure, REASONS } from '@roost/core/failure';
import { AllInOne } from '@roost/e2e/all-in-one';
import { connectTo } from '@roost/e2e/door';
import { Neighbourhood } from '@roost/e2e/neighbourhood';
import { tell } from '@roost/e2e/story';
import { clientOf } from '@roost/rpc/client';
import { CLIENT_METHODS } from '@roost/rpc/client-methods';
import { CODES } from '@roost/rpc/status';
import { DeliveryServiceDefinition } from '@roost/proto/roost/delivery/v1/delivery';
import { type Metrics, startMetrics } from '@roost/service/metrics';

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

let metrics: Metrics;
let page = '';
let samples: readonly Sample[] = [];
const names: string[] = [];

beforeAll(async () => {
  metrics = startMetrics({ service: 'homeserver', version: '0' });
  // One that may meet others tells the numbers of its gateway too.
  const domain = 'home.example';
  using neighbourhood = await Neighbourhood.open([domain]);
  await using world = await AllInOne.open({ domain, neighbourhood });
  const { people } = await tell(world, 'metric');
  names.push(...people.map(({ name }) => name));
  using channel = connectTo(world.door);
  const sending = clientOf(DeliveryServiceDefinition, channel).sendMessage({
    ...{ groupId: undefined, earKey: new Uint8Array(32), message: undefined },
  });
  await expect(sending).rejects.toBeInstanceOf(Failure);
  page = await metrics.page();
  samples = parse(page);
  await Promise.all(people.map((person) => person[Symbol.asyncDispose]()));
});
afterAll(async () => {
  await metrics[Symbol.asyncDispose]();
});

const SERVICES = new Set(['as', 'aas', 'qs', 'ds', 'federation-gateway', 'homeserver']);

function parse(text: string): Sample[] {
  return [...text.matchAll(/^([a-z0-9_]+)(?:\{(.*)\})? (\S+)$/gm)].map(
    ([, name = '', labels = '', value]) => ({
      name,
      labels: Object.fromEntries(
        [...labels.matchAll(/([a-z_]+)="([^"]*)"/g)].map(([, key, text_]) => [key, text_]),
      ) as Record<string, string>,
      value: Number(value),
    }),
  );
}

function valueOf(name: string, labels: Record<string, string> = {}): number | undefined {
  const wanted = Object.entries(labels);
  return samples.find(
    (sample) =>
      sample.name === name && wanted.every(([key, value]) => sample.labels[key] === value),
  )?.value;
}

test('a story leaves its traces in the numbers', () => {
  expect(page).not.toContain('gauges that failed');
  const send = 'roost.delivery.v1.DeliveryService/SendMessage';
  expect(valueOf('roost_rpc_calls_total', { method: send, code: 'OK' })).toBeGreaterThan(3);
  expect(valueOf('roost_rpc_duration_seconds_count', { method: send })).toBeGreaterThan(3);
  expect(valueOf('roost_rpc_in_flight', { method: 'roost.queue.v1.QueueService/Listen' })).toBe(3);
  // The check of the token was refused, and so the call that it was for.
  expect(valueOf('roost_rpc_refusals_total', { reason: 'TOKEN_REQUIRED' })).toBe(2);
  expect(valueOf('roost_as_registrations_total')).toBe(3);
  expect(valueOf('roost_aas_tokens_issued_total', { class: 'general' })).toBeGreaterThan(50);
  expect(valueOf('roost_aas_tokens_redeemed_total', { class: 'contact' })).toBeGreaterThan(2);
  expect(valueOf('roost_aas_tokens_refused_total', { reason: 'TOKEN_REQUIRED' })).toBe(1);
  expect(valueOf('roost_ds_batches_total', { outcome: 'answered' })).toBeGreaterThan(3);
  expect(valueOf('roost_ds_outbox_rows')).toBe(0);
  expect(valueOf('roost_ds_outbox_oldest_age_seconds')).toBe(0);
  expect(valueOf('roost_qs_deliveries_total', { outcome: 'stored' })).toBeGreaterThan(10);
  expect(valueOf('roost_qs_listeners')).toBe(3);
  expect(valueOf('roost_qs_key_packages_claimed_total', { kind: 'single' })).toBeGreaterThan(2);
  expect(valueOf('roost_database_connections', { service: 'ds', state: 'idle' })).toBeDefined();
});

test('the table in the README has every number with its labels, and no other', () => {
  const readme = readFileSync(join(import.meta.dirname, '../../libs/service/README.md'), 'utf8');
  const rows = [...readme.matchAll(/^\| `(roost_[a-z_]+)` \|([^|]*)\|/gm)];
  const told = new Map(
    rows.map(([, name = '', labels = '']) => [
      name,
      [...labels.trim().matchAll(/(?:^|, )([a-z]+)(?=[:,]|$)/g)],
    ]),
  );
  // Whoever runs without a certificate tells of none.
  told.delete('roost_certificate_expiry_timestamp_seconds');
  const served = [...page.matchAll(/^# TYPE (\S+) /gm)].map(([, name = '']) => name);
  expect(served.toSorted()).toEqual([...told.keys()].toSorted());
  for (const { name, labels } of samples) {
    const base = name.replace(/_(bucket|sum|count)$/, '');
    const known = (told.get(base) ?? told.get(name) ?? []).map(([, label]) => label);
    const extra = Object.keys(labels).filter((key) => key !== 'le' && !known.includes(key));
    expect([name, extra]).toEqual([name, []]);
  }
});

test('names end in their unit, and what counts ends in _total', () => {
  const types = [...page.matchAll(/^# TYPE (\S+) (\S+)$/gm)];
  for (const [, name = '', type] of types) {
    expect(name).toMatch(/^roost_[a-z]+(_[a-z]+)*$/);
    expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter']);
    if (type === 'histogram') expect(name).toMatch(/_seconds$/);
  }
});

test('every value of a label is one of a set that does not grow', () => {
  const internal = /^roost\.[a-z]+\.v1\.[A-Za-z]+(Internal|Admin)Service\/[A-Za-z]+$/;
  const methods = new Set([...CLIENT_METHODS.keys()].map((path) => path.slice(1)));
  const word = (value: string): boolean => /^[a-z_]{2,14}$/.test(value);
  const isOutcome = (value: string): boolean => value in REASONS || value === 'UNREACHABLE';
  const isBounded: Record<string, (value: string) => boolean> = {
    method: (value) => methods.has(value) || internal.test(value) || value === 'unknown',
    code: (value) => value in CODES,
    reason: (value) => value in REASONS || ['other', 'EXPIRED'].includes(value),
    service: (value) => SERVICES.has(value),
    // Of what other homeservers say the reason; of a bad envelope, or of one that is not found, where it fails.
    outcome: (value) => word(value) || isOutcome(value.split(' ')[0] ?? ''),
    version: (value) => value === '0',
    le: (value) => value === '+Inf' || Number.isFinite(Number(value)),
    quantile: (value) => ['0.5', '0.99', '1'].includes(value),
    unread: (value) => /^10{0,4}$/.test(value),
  };
  for (const { name, labels } of samples) {
    for (const [key, value] of Object.entries(labels)) {
      expect([name, key, value, (isBounded[key] ?? word)(value)]).toEqual([name, key, value, true]);
    }
  }
  for (const name of names) expect(page).not.toContain(name);
});
