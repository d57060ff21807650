import { Failure, malformed } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import type { Crypto } from '@roost/crypto/crypto';
import { readDirectory } from '@roost/federation/directory';
import { KEY_ID_BYTES, KEYS_MAX } from '@roost/federation/keys';
import { parsePeerDomain } from '@roost/federation/peer-domain';
import { commonVersion, type VersionRange } from '@roost/federation/versions';
import type { Database } from '@roost/postgres/database';
import type {
  FederationAdminServiceDefinition,
  Peer,
} from '@roost/proto/roost/federation/v1/admin';
import type { Handlers } from '@roost/rpc/service';
import type { Peers } from '../../peers.ts';
import { isAdmitted } from '../../policy.ts';
import { findMode, type Mode } from '../../store/policy.ts';
import { type KnownPeer, listPeers } from '../../store/known-peers.ts';

export interface PeersAdminPorts {
  readonly home: Domain;
  readonly crypto: Crypto;
  readonly database: Database;
  readonly protocol: VersionRange;
  readonly peers: Pick<Peers, 'trustAnew'>;
}

const PAGE = 500;

/** The homeservers that were ever met or listed. */
export function peerHandlers(
  ports: PeersAdminPorts,
): Pick<Handlers<typeof FederationAdminServiceDefinition>, 'listPeers' | 'trustPeer'> {
  const { home, database, peers } = ports;
  return {
    async listPeers({ after }) {
      const mode = await findMode(database);
      const found = await listPeers(database, after, PAGE + 1);
      return {
        peers: found.slice(0, PAGE).map((peer) => wireOf(ports, mode, peer)),
        hasMore: found.length > PAGE,
      };
    },
    async trustPeer({ domain: text, keyIds }) {
      const domain = parsePeerDomain(text);
      if (domain === home) throw malformed('domain', 'is this homeserver');
      const isEach = keyIds.every((keyId) => keyId.length === KEY_ID_BYTES);
      if (keyIds.length === 0 || keyIds.length > KEYS_MAX || !isEach) {
        throw malformed('key_ids', `are not 1 to ${KEYS_MAX} of ${KEY_ID_BYTES} bytes`);
      }
      await peers.trustAnew(domain, keyIds);
      return {};
    },
  };
}

function wireOf(ports: PeersAdminPorts, mode: Mode, peer: KnownPeer): Peer {
  const { domain, kind, failures, trouble } = peer;
  return {
    ...{ domain, failures, trouble },
    isAdmitted: isAdmitted(mode, kind),
    protocolVersion: versionOf(ports, peer),
    firstMetMs: BigInt(peer.firstMetMs),
    directoryReadMs: peer.readAtMs,
    nextTryMs: peer.nextTryMs,
  };
}

function versionOf({ crypto, home, protocol }: PeersAdminPorts, { signed }: KnownPeer): number {
  if (signed === undefined) return 0;
  try {
    return commonVersion({ domain: home, protocol }, readDirectory(crypto, signed).directory);
  } catch (error) {
    if (error instanceof Failure) return 0;
    throw error;
  }
}
