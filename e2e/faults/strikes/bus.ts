import { sleep } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import type { Fault } from '../fault.ts';
import { NatsRaw, Publications, type Published } from '../nats-raw.ts';
import type { Site } from '../site.ts';

const CAUGHT_MAX = 400;

/** Catches what the DS publishes for a while. */
async function caught(site: Site, ms: number): Promise<Published[]> {
  const all: Published[] = [];
  for (const cable of site.cables('ds-nats')) {
    const publications = new Publications();
    cable.watch = (bytes) => {
      const found = publications.take(bytes);
      all.push(...found.filter(({ subject }) => subject.includes('.fanout.')));
      all.splice(0, all.length - CAUGHT_MAX);
    };
  }
  // The lines begin in the middle of a connection, but no message is in the middle of one.
  await sleep(ms);
  for (const cable of site.cables('ds-nats')) cable.watch = undefined;
  return all;
}

async function asDs({ ground }: Site): Promise<NatsRaw> {
  const { servers, passwords } = ground.nats.address;
  return await NatsRaw.open(servers[0] ?? '', 'ds', passwords['ds'] ?? '');
}

function replyTo({ subject }: Published, at: number): string {
  return `${subject.split('.')[0]}.inbox.ds.replay.${at}`;
}

const again: Fault = {
  name: 'bus repeats',
  about:
    'batches of the DS are published again, many times, late and in any order, beside the live ones',
  isQuick: true,
  async strike(site) {
    const batches = await caught(site, 2_500);
    site.promise(batches.length > 5, `batches were caught; ${batches.length}`);
    using nats = await asDs(site);
    let count = 0;
    for (const end = performance.now() + 5_000; performance.now() < end; await sleep(20)) {
      const batch = batches[Math.floor(site.random() * batches.length)];
      if (batch !== undefined) nats.publish(batch, replyTo(batch, count++));
    }
    site.remark(`${count} repeated of ${batches.length}`);
  },
};

const garbage: Fault = {
  name: 'bus garbage',
  about:
    'bytes that are no batch, and old batches that end in the middle, on the subjects of the DS',
  async strike(site) {
    const batches = await caught(site, 2_500);
    site.promise(batches.length > 5, `batches were caught; ${batches.length}`);
    using nats = await asDs(site);
    let count = 0;
    for (const end = performance.now() + 5_000; performance.now() < end; await sleep(20)) {
      const batch = batches[Math.floor(site.random() * batches.length)];
      if (batch === undefined) continue;
      const { subject, payload } = batch;
      const cut = payload.subarray(0, Math.floor(site.random() * payload.length));
      const noise = Buffer.from(crypto.random(1 + Math.floor(site.random() * 600)));
      nats.publish({ subject, payload: count % 2 === 0 ? cut : noise }, replyTo(batch, count));
      count++;
    }
    site.remark(`${count} pieces of garbage`);
  },
};

export const bus: readonly Fault[] = [again, garbage];
