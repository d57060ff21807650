import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '@roost/core/bytes';
import { migrations } from '@roost/federation-gateway/service';
import { Database } from '@roost/postgres/database';
import { assertDomain } from '@roost/postgres/migrate';
import { freshDatabase, type FreshDatabase } from '@roost/testing/postgres';
import type { Neighbourhood } from '../neighbourhood.ts';
import { commonOf, type Parts, type Service } from './environment.ts';
import { type Environment, ServiceProcess } from './processes.ts';
import { Run } from './run.ts';

export const GATEWAY = 'federation-gateway';

/** Where the replicas of a gateway are reached, by others of the homeserver alone. */
export interface GatewayAddresses {
  readonly mutual: readonly string[];
  /** What the edge asks for the directory, plain. */
  readonly directory: readonly string[];
}

export async function takeGatewayAddresses(replicas: number): Promise<GatewayAddresses> {
  const run = Run.current();
  const take = async (): Promise<string[]> =>
    await Promise.all(
      Array.from({ length: replicas }, async () => `127.0.0.1:${await run.takePort()}`),
    );
  return { mutual: await take(), directory: await take() };
}

export async function openGatewayDatabase({
  ground,
  domain,
}: Pick<Parts, 'ground' | 'domain'>): Promise<FreshDatabase> {
  const server = ground.postgres;
  const database = await freshDatabase(migrations, { owner: 'roost_federation', server });
  await using own = new Database(database.owner, 1);
  await assertDomain(own, domain, { isFirst: true });
  return database;
}

interface GatewayOrder {
  readonly neighbourhood: Neighbourhood;
  readonly database: FreshDatabase;
  readonly addresses: GatewayAddresses;
  readonly services: Readonly<Record<Service, readonly string[]>>;
  readonly secretOf: (purpose: string) => Uint8Array;
  readonly logs: string;
  readonly env: Environment;
}

/** The replicas of the gateway, not started yet. */
export async function gatewayProcesses(
  parts: Parts,
  { neighbourhood, database, addresses, services, secretOf, logs, env }: GatewayOrder,
): Promise<ServiceProcess[]> {
  const own = join(parts.secrets, GATEWAY);
  mkdirSync(own, { recursive: true, mode: 0o700 });
  for (const purpose of ['federation', 'transport']) {
    writeFileSync(join(own, purpose), `${toHex(secretOf(purpose))}\n`, { mode: 0o600 });
  }
  const common = {
    ...commonOf(GATEWAY, parts, database.owner),
    ...neighbourhood.environmentOf(parts.domain),
    ROOST_AS_ADDRESS: services.as.join(','),
    ROOST_AAS_ADDRESS: services.aas.join(','),
    ROOST_QS_ADDRESS: services.qs.join(','),
    ROOST_DS_ADDRESS: services.ds.join(','),
  };
  return await Promise.all(
    addresses.mutual.map(async (address, index) => {
      const healthAddress = `127.0.0.1:${await Run.current().takePort()}`;
      const listens = {
        ...{ ROOST_LISTEN: address, ROOST_HEALTH_LISTEN: healthAddress },
        ROOST_DIRECTORY_LISTEN: addresses.directory[index],
      };
      return new ServiceProcess({
        ...{ name: `${GATEWAY}-${index + 1}`, main: `services/${GATEWAY}/src/main.ts` },
        ...{ env: { ...common, ...listens, ...env }, address, healthAddress, logs },
      });
    }),
  );
}
