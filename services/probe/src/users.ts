import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openNodeClient, type NodeClient } from '@roost/client/node/open';
import { AuthenticationAdminServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import { clientOf, connectPeer, type Transport } from '@roost/rpc/client';
import type { Home } from './config.ts';

export interface Registering {
  readonly config: Home;
  readonly folder: string;
  readonly count: number;
  readonly report?: (error: unknown) => void;
  /** What their calls go through. */
  readonly around?: (way: Transport) => Transport;
}

/** Registers so many users whom nobody knows, with codes that are made for them where codes are asked for. */
export async function registerUsers(registering: Registering): Promise<NodeClient[]> {
  const { config, folder, count, report, around } = registering;
  const codes = await inviteCodes(config, count);
  const { address, name, ca } = config.edge;
  const authority = ca === undefined ? {} : { ca: await readFile(ca, 'utf8') };
  const users: NodeClient[] = [];
  for (let number = 0; number < count; number++) {
    users.push(
      await openNodeClient({
        folder: join(folder, String(number)),
        userName: `probe-${randomBytes(6).toString('hex')}`,
        inviteCode: codes?.[number],
        server: { address, isTls: true, name, ...authority },
        report,
        around,
      }),
    );
  }
  return users;
}

/** None where nobody asks for codes. */
async function inviteCodes({ authentication, operator, domain }: Home, count: number) {
  if (authentication === undefined || operator === undefined) return undefined;
  const tls = {
    cert: await readFile(operator.cert, 'utf8'),
    key: await readFile(operator.key, 'utf8'),
    ca: await readFile(operator.ca, 'utf8'),
  };
  using channel = connectPeer(authentication, { domain, name: 'as' }, tls);
  const admin = clientOf(AuthenticationAdminServiceDefinition, channel);
  const { codes } = await admin.createInvites({ count, validDays: 1 });
  return codes;
}
