import type { Command } from 'commander';
import {
  FederationAdminServiceDefinition,
  FederationMode,
  type GetPolicyResponse,
  type Listing,
  ListingKind,
  type Peer,
} from '@roost/proto/roost/federation/v1/admin';
import { Misused } from '@roost/service/run';
import { ask, type Desk, type Door, examples, group, placeFor, tell } from '../desk.ts';
import { table, time, yesNo } from '../output.ts';
import { keyId, peerDomain } from '../values.ts';
import { addOutbox } from './federation-outbox.ts';

const GATEWAY: Door<typeof FederationAdminServiceDefinition> = {
  service: 'federation-gateway',
  definition: FederationAdminServiceDefinition,
};

/** With whom this homeserver exchanges messages. */
export function addFederation(program: Command, desk: Desk): void {
  const federation = group(program, 'federation', 'with whom messages are exchanged');
  addPolicy(federation, desk);
  addListings(federation, desk);
  addPeers(federation, desk);
  addProbe(federation, desk);
  addTrust(federation, desk);
  addOutbox(federation, desk);
}

const MODES: Readonly<Record<string, FederationMode>> = {
  allowlist: FederationMode.ALLOWLIST,
  open: FederationMode.OPEN,
};

function addPolicy(federation: Command, desk: Desk): void {
  federation
    .command('policy')
    .description('the mode, and the domains that are listed')
    .addHelpText('after', examples('federation policy'))
    .action(async (_, command: Command) => await showPolicy(desk, command));
  federation
    .command('mode')
    .argument(
      '<mode>',
      'allowlist: only domains that are allowed; open: all but those that are blocked',
    )
    .description('choose between the two policies; it holds at once')
    .addHelpText('after', examples('federation mode open', 'federation mode allowlist'))
    .action(async (name: string, _, command: Command) => {
      const mode = MODES[name];
      if (mode === undefined) {
        throw new Misused(`there is no mode "${name}", only ${Object.keys(MODES).join(' and ')}`);
      }
      await ask(placeFor(desk, command), GATEWAY, (admin) => admin.setMode({ mode }));
      await showPolicy(desk, command);
    });
}

async function showPolicy(desk: Desk, command: Command): Promise<void> {
  const policy = await ask(placeFor(desk, command), GATEWAY, (admin) => admin.getPolicy({}));
  const listings = policy.listings.map((each) => ({
    domain: each.domain,
    kind: kindOf(each),
    endpoint: each.endpoint,
    note: each.note,
    sinceMs: each.sinceMs,
  }));
  const rows = listings.map(({ domain, kind, endpoint, note, sinceMs }) => [
    ...[domain, kind, endpoint === '' ? '-' : endpoint, time(sinceMs), note],
  ]);
  const mode = modeOf(policy);
  const text = `mode: ${mode}\n\n${table(['DOMAIN', 'IS', 'ENDPOINT', 'SINCE', 'NOTE'], rows)}`;
  tell(desk, command, { text, json: { mode, listings } });
}

function modeOf({ mode }: GetPolicyResponse): string {
  return Object.keys(MODES).find((name) => MODES[name] === mode) ?? 'unknown';
}

function kindOf({ kind }: Listing): string {
  return kind === ListingKind.ALLOWED ? 'allowed' : 'blocked';
}

interface ListingOptions {
  readonly endpoint?: string;
  readonly note?: string;
}

function addListings(federation: Command, desk: Desk): void {
  const set = async (
    command: Command,
    wanted: { domain: string; kind: ListingKind } & ListingOptions,
  ): Promise<void> => {
    const { domain, kind, endpoint = '', note = '' } = wanted;
    const listing = { domain: peerDomain(domain), kind, endpoint, note, sinceMs: 0n };
    await ask(placeFor(desk, command), GATEWAY, (admin) => admin.setListing({ listing }));
    await showPolicy(desk, command);
  };
  federation
    .command('allow')
    .argument('<domain>')
    .description('let a homeserver in, whatever the mode; it holds at once')
    .option('--endpoint <host:port>', 'where it is reached, instead of where its directory says')
    .option('--note <text>', 'for your own memory')
    .addHelpText('after', examples('federation allow b.example --note "partner, ticket 12"'))
    .action(async (domain: string, options: ListingOptions, command: Command) => {
      await set(command, { domain, kind: ListingKind.ALLOWED, ...options });
    });
  federation
    .command('block')
    .argument('<domain>')
    .description('keep a homeserver out, whatever the mode; it holds at once')
    .option('--note <text>', 'for your own memory')
    .addHelpText('after', examples('federation block spam.example --note "floods"'))
    .action(async (domain: string, options: ListingOptions, command: Command) => {
      await set(command, { domain, kind: ListingKind.BLOCKED, ...options });
    });
  federation
    .command('forget')
    .argument('<domain>')
    .description('take a homeserver off the list: the mode decides')
    .addHelpText('after', examples('federation forget b.example'))
    .action(async (domain: string, _, command: Command) => {
      await set(command, { domain, kind: ListingKind.UNSPECIFIED });
    });
}

function addPeers(federation: Command, desk: Desk): void {
  federation
    .command('peers')
    .description('what is known of the homeservers that were ever met or listed')
    .addHelpText('after', examples('federation peers', 'federation peers --json'))
    .action(async (_, command: Command) => {
      const peers = await ask(placeFor(desk, command), GATEWAY, async (admin) => {
        const all: Peer[] = [];
        for (let hasMore = true; hasMore;) {
          const page = await admin.listPeers({ after: all.at(-1)?.domain ?? '' });
          all.push(...page.peers);
          hasMore = page.hasMore && page.peers.length > 0;
        }
        return all;
      });
      const rows = peers.map((peer) => [
        ...[peer.domain, yesNo(peer.isAdmitted), peer.protocolVersion, time(peer.firstMetMs)],
        ...[time(peer.directoryReadMs), peer.failures, time(peer.nextTryMs), peer.trouble],
      ]);
      const header = ['DOMAIN', 'LET IN', 'VERSION', 'MET', 'DIRECTORY READ', 'FAILURES'];
      const text = table([...header, 'NEXT TRY', 'TROUBLE'], rows);
      tell(desk, command, { text, json: peers });
    });
}

function addProbe(federation: Command, desk: Desk): void {
  federation
    .command('probe')
    .argument('<domain>')
    .description('fetch a homeserver’s directory and connect to it; ends with 1 where a step fails')
    .addHelpText('after', examples('federation probe b.example'))
    .action(async (domain: string, _, command: Command) => {
      const request = { domain: peerDomain(domain) };
      const { steps } = await ask(placeFor(desk, command), GATEWAY, (admin) =>
        admin.probePeer(request),
      );
      const rows = steps.map(({ name, isOk, finding }) => [name, isOk ? 'ok' : 'FAILED', finding]);
      tell(desk, command, { text: table(['STEP', '', 'FOUND'], rows), json: steps });
      if (steps.some(({ isOk }) => !isOk)) desk.end(1);
    });
}

function addTrust(federation: Command, desk: Desk): void {
  federation
    .command('trust')
    .argument('<domain>')
    .argument('<keys...>', 'the ids of all its keys that are not revoked, as its operator told you')
    .description(
      'believe the keys that a homeserver publishes now, though they do not follow from those known before: for one that lost its keys',
    )
    .addHelpText('after', examples('federation trust b.example 0123456789abcdef'))
    .action(async (domain: string, ids: readonly string[], _, command: Command) => {
      const request = { domain: peerDomain(domain), keyIds: ids.map(keyId) };
      await ask(placeFor(desk, command), GATEWAY, (admin) => admin.trustPeer(request));
      tell(desk, command, { text: `${domain} is believed\n`, json: { domain } });
    });
}
