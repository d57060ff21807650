import { constants, verify } from 'node:crypto';
import { DeliveryServiceDefinition } from '@roost/proto/roost/delivery/v1/delivery';
import { clientOf } from '@roost/rpc/call';
import { importPublicKey } from '@roost/tokens/node/verifier';
import { AUTHENTICATOR_INPUT_BYTES } from '@roost/tokens/token';
import { startClients } from '../clients.ts';
import { signing } from '../house.ts';
import { round, type Row } from '../measure.ts';
import { Recorder } from '../outgoing.ts';
import { spentAt } from './spending.ts';
import type { Stage } from './stage.ts';

const COUNT = 4_000;
const COUNT_QUICK = 800;
const WARM = 200;
const IN_FLIGHT = 64;
const SAMPLE = 200;

/** What Envoy and the AAS spend on checking a token over ext_authz, beside a bare verification. */
export async function measureGate({ bench, site }: Stage): Promise<Row[]> {
  const count = bench.quick ? COUNT_QUICK : COUNT;
  bench.progress(`${site.replicas} replicas: drawing ${count} tokens`);
  await site.purse.fill(count + WARM);
  const bare = measureBare(site.purse.sample(SAMPLE), site.purse.spki);
  await using clients = startClients();
  const call = async (some: number): Promise<void> => {
    const recorder = new Recorder();
    const ds = clientOf(DeliveryServiceDefinition, recorder, signing);
    // The cheapest call that costs a token.
    for (let at = 0; at < some; at++) void ds.findRooms({ text: 'nothing', after: undefined });
    const calls = site.purse.paid(recorder.calls);
    await clients.ask({ do: 'prepare', door: site.door, calls });
    await clients.call(IN_FLIGHT);
  };
  await call(WARM);
  bench.progress(`${site.replicas} replicas: checking ${count} tokens`);
  const { seconds, cpu } = await spentAt(site, async () => await call(count));
  const us = (spent: number): string => `${round((spent / count) * 1e6)} us`;
  return [
    {
      what: 'token checks through Envoy and ext_authz',
      figure:
        `${round(count / seconds)}/s; AAS ${us(cpu.aas)} = ${round(count / cpu.aas)}/s per core, ` +
        `its PostgreSQL ${us(cpu['postgres of tokens'])}, Envoy with all that it does ${us(cpu.edge)}`,
      bare: `bare verification ${round(bare * 1e6)} us = ${round(1 / bare)}/s`,
      ratio: bare / (cpu.aas / count),
    },
  ];
}

/** Seconds of CPU for each RSA-PSS verification. */
function measureBare(tokens: readonly Uint8Array[], spki: Uint8Array): number {
  const key = importPublicKey(spki);
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  const verifyAll = (): void => {
    for (const raw of tokens) {
      const [input, signature] = [
        raw.subarray(0, AUTHENTICATOR_INPUT_BYTES),
        raw.subarray(AUTHENTICATOR_INPUT_BYTES),
      ];
      const isGood = verify('sha384', input, { key, padding, saltLength: 48 }, signature);
      if (!isGood) throw new Error('a token verifies');
    }
  };
  verifyAll();
  const before = process.cpuUsage();
  const rounds = 5;
  for (let at = 0; at < rounds; at++) verifyAll();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6 / rounds / tokens.length;
}
