import { Failure, malformed } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import type { Clock } from '@roost/core/time';
import { parseEndpoint, parsePeerDomain, printEndpoint } from '@roost/federation/peer-domain';
import type { Database } from '@roost/postgres/database';
import {
  type FederationAdminServiceDefinition,
  FederationMode,
  ListingKind,
  type Listing as ListingWire,
} from '@roost/proto/roost/federation/v1/admin';
import type { Handlers } from '@roost/rpc/service';
import * as store from '../../store/policy.ts';

export interface PolicyAdminPorts {
  readonly home: Domain;
  readonly clock: Clock;
  readonly database: Database;
  /** Who is let in again is sent to at once. */
  readonly outbox: { retry(domain: Domain): Promise<void> };
}

const LISTINGS_MAX = 10_000;
const NOTE_CHARACTERS_MAX = 256;

const MODES = {
  allowlist: FederationMode.ALLOWLIST,
  open: FederationMode.OPEN,
} as const satisfies Record<store.Mode, FederationMode>;
const KINDS = {
  allowed: ListingKind.ALLOWED,
  blocked: ListingKind.BLOCKED,
} as const satisfies Record<store.Kind, ListingKind>;

/** Whom this homeserver exchanges messages with. Each change is read by the next exchange, at every replica. */
export function policyHandlers({
  home,
  clock,
  database,
  outbox,
}: PolicyAdminPorts): Pick<
  Handlers<typeof FederationAdminServiceDefinition>,
  'getPolicy' | 'setMode' | 'setListing'
> {
  return {
    async getPolicy() {
      const mode = await store.findMode(database);
      const listings = await store.listListings(database, LISTINGS_MAX);
      return {
        mode: MODES[mode],
        listings: listings.map(({ kind, sinceMs, ...listing }) => ({
          ...{ ...listing, kind: KINDS[kind], sinceMs: BigInt(sinceMs) },
        })),
      };
    },
    async setMode({ mode: wire }) {
      const mode = keyOf(MODES, wire);
      if (mode === undefined) throw malformed('mode', 'is neither allowlist nor open');
      await store.setMode(database, mode);
      return {};
    },
    async setListing({ listing }) {
      if (listing === undefined) throw malformed('listing', 'is missing');
      const domain = parsePeerDomain(listing.domain, 'listing.domain');
      if (domain === home) throw malformed('listing.domain', 'is this homeserver');
      if (listing.kind === ListingKind.UNSPECIFIED) {
        await store.dropListing(database, domain);
        return {};
      }
      const read = readListing(listing);
      await database.transaction(async (tx) => {
        await store.putListing(tx, { ...read, domain, sinceMs: clock.now() });
        if ((await store.countListings(tx)) > LISTINGS_MAX) {
          throw new Failure('LIMIT_REACHED', `${LISTINGS_MAX} domains are listed already`);
        }
      });
      if (read.kind === 'allowed') await outbox.retry(domain);
      return {};
    },
  };
}

function readListing({ kind: wire, endpoint, note }: ListingWire) {
  const kind = keyOf(KINDS, wire);
  if (kind === undefined) throw malformed('listing.kind', 'is neither allowed nor blocked');
  if (note.length > NOTE_CHARACTERS_MAX) {
    throw malformed('listing.note', `is longer than ${NOTE_CHARACTERS_MAX} characters`);
  }
  const reached = endpoint && printEndpoint(parseEndpoint(endpoint, 'listing.endpoint'));
  return { kind, note, endpoint: reached };
}

function keyOf<Key extends string, Value>(of: Readonly<Record<Key, Value>>, value: Value) {
  return (Object.keys(of) as Key[]).find((key) => of[key] === value);
}
