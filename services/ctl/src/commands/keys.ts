import type { Command } from 'commander';
import { toHex } from '@roost/core/bytes';
import {
  AuthenticationAdminServiceDefinition,
  AuthorityKind,
} from '@roost/proto/roost/authentication/v1/authentication';
import {
  FederationAdminServiceDefinition,
  type FederationKey,
} from '@roost/proto/roost/federation/v1/admin';
import {
  type IssuerKey,
  IssuerKeyState,
  TokenAdminServiceDefinition,
} from '@roost/proto/roost/tokens/v1/admin';
import { Misused } from '@roost/service/run';
import { ask, type Desk, type Door, examples, group, placeFor, tell } from '../desk.ts';
import { table, time } from '../output.ts';
import { isNamed, type Place } from '../place.ts';
import { keyId } from '../values.ts';

const AS: Door<typeof AuthenticationAdminServiceDefinition> = {
  service: 'as',
  definition: AuthenticationAdminServiceDefinition,
};
const AAS: Door<typeof TokenAdminServiceDefinition> = {
  service: 'aas',
  definition: TokenAdminServiceDefinition,
};
const GATEWAY: Door<typeof FederationAdminServiceDefinition> = {
  service: 'federation-gateway',
  definition: FederationAdminServiceDefinition,
};

/** A key of the homeserver, whichever service has it. */
interface Key {
  readonly what: string;
  readonly id: string;
  readonly state: string;
  readonly from: bigint;
  readonly until: bigint;
}

/** Keys of the homeserver itself. */
export function addKeys(program: Command, desk: Desk): void {
  const keys = group(program, 'keys', 'keys of the homeserver itself');
  addList(keys, desk);
  addRotate(keys, desk);
  addRevoke(keys, desk);
}

function addList(keys: Command, desk: Desk): void {
  keys
    .command('list')
    .description(
      'the AS’s authorities, the AAS’s issuer keys, and the federation keys where there is a gateway',
    )
    .addHelpText('after', examples('keys list', 'keys list --json'))
    .action(async (_, command: Command) => {
      const place = placeFor(desk, command);
      show(desk, command, [
        ...(await authorities(place)),
        ...(await issuers(place)),
        ...(await federationKeys(place)),
      ]);
    });
}

function addRotate(keys: Command, desk: Desk): void {
  const rotate = group(keys, 'rotate', 'let another key sign from now on');
  rotate
    .command('intermediate')
    .description('the AS’s: what the earlier ones signed stays good')
    .addHelpText('after', examples('keys rotate intermediate'))
    .action(async (_, command: Command) => {
      const place = placeFor(desk, command);
      await ask(place, AS, (admin) => admin.rotateIntermediate({}));
      show(desk, command, await authorities(place));
    });
  rotate
    .command('issuers')
    .description('the AAS’s: the announced keys issue now; what was drawn is good for another day')
    .option(
      '--void',
      'for keys that others may have: what was drawn is void at once, and everybody draws anew',
    )
    .addHelpText('after', examples('keys rotate issuers', 'keys rotate issuers --void'))
    .action(async ({ void: isVoid = false }: { void?: boolean }, command: Command) => {
      const answer = await ask(placeFor(desk, command), AAS, (admin) =>
        admin.rotateIssuerKeys({ isVoid }),
      );
      show(desk, command, answer.keys.map(issuerKey));
    });
  rotate
    .command('federation')
    .description(
      'the gateway’s: the next key is announced today and signs when every peer can have heard of it',
    )
    .addHelpText('after', examples('keys rotate federation'))
    .action(async (_, command: Command) => {
      const place = placeFor(desk, command);
      await ask(place, GATEWAY, (admin) => admin.rotateKey({}));
      show(desk, command, await federationKeys(place));
    });
}

function addRevoke(keys: Command, desk: Desk): void {
  keys
    .command('revoke')
    .argument('<id>', 'of a federation key, as "keys list" shows it')
    .description('end a federation key at once; where it signs now, its successor does from now on')
    .option('--yes', 'it is meant')
    .addHelpText('after', examples('keys revoke 0123456789abcdef --yes'))
    .action(async (id: string, { yes }: { yes?: boolean }, command: Command) => {
      const request = { keyId: keyId(id) };
      if (yes !== true) {
        throw new Misused(`what ${id} signed is refused by everybody from now on: add --yes`);
      }
      const place = placeFor(desk, command);
      await ask(place, GATEWAY, (admin) => admin.revokeKey(request));
      show(desk, command, await federationKeys(place));
    });
}

async function authorities(place: Place): Promise<Key[]> {
  const answer = await ask(place, AS, (admin) => admin.listAuthorities({}));
  return answer.authorities.map(({ kind, hash, notBeforeMs, notAfterMs, isCurrent }) => ({
    what: kind === AuthorityKind.ROOT ? 'as root' : 'as intermediate',
    id: toHex(hash).slice(0, ID_CHARS),
    state: isCurrent ? 'current' : 'previous',
    from: notBeforeMs,
    until: notAfterMs,
  }));
}

async function issuers(place: Place): Promise<Key[]> {
  const answer = await ask(place, AAS, (admin) => admin.listIssuerKeys({}));
  return answer.keys.map(issuerKey);
}

function issuerKey(key: IssuerKey): Key {
  return {
    what: `aas ${key.tokenClass === CONTACT ? 'contact' : 'general'}`,
    id: toHex(key.tokenKeyId).slice(0, ID_CHARS),
    state: STATES[key.state] ?? 'unknown',
    from: key.issuesFromMs,
    until: key.redeemsUntilMs,
  };
}

const CONTACT = 3;
const ID_CHARS = 16;
const STATES: Readonly<Record<number, string>> = {
  [IssuerKeyState.NEXT]: 'next',
  [IssuerKeyState.CURRENT]: 'current',
  [IssuerKeyState.PREVIOUS]: 'previous',
};

/** None where the homeserver has no gateway. */
async function federationKeys(place: Place): Promise<Key[]> {
  if (!isNamed(place, GATEWAY.service)) return [];
  try {
    const answer = await ask(place, GATEWAY, (admin) => admin.listKeys({}));
    return answer.keys.map(federationKey);
  } catch (error) {
    if (String(error).includes('METHOD_UNKNOWN')) return [];
    throw error;
  }
}

function federationKey(key: FederationKey): Key {
  const times = { from: key.notBeforeMs, until: key.notAfterMs };
  const ended = key.revokedAtMs > 0n ? 'revoked' : undefined;
  const now = key.isCurrent ? 'current' : undefined;
  const later = key.notBeforeMs > BigInt(Date.now()) ? 'next' : 'previous';
  return { what: 'federation', id: toHex(key.keyId), state: ended ?? now ?? later, ...times };
}

function show(desk: Desk, command: Command, keys: readonly Key[]): void {
  const rows = keys.map(({ what, id, state, from, until }) => [
    ...[what, id, state, time(from), time(until)],
  ]);
  const text = table(['KEY', 'ID', 'STATE', 'FROM', 'UNTIL'], rows);
  tell(desk, command, { text, json: keys });
}
