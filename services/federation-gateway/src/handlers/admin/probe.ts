import { Failure } from '@roost/core/failure';
import { type Domain } from '@roost/core/ids';
import { DAY_MS, SECOND_MS } from '@roost/core/time';
import { type SignedDirectory, parseDirectory, readDirectory } from '@roost/federation/directory';
import { nameOf } from '@roost/federation/keys';
import { parsePeerDomain, printEndpoint } from '@roost/federation/peer-domain';
import {
  AuthenticationServiceDefinition,
  GetPublicKeysRequest,
} from '@roost/proto/roost/authentication/v1/authentication';
import type {
  FederationAdminServiceDefinition,
  ProbeStep,
} from '@roost/proto/roost/federation/v1/admin';
import { PeerServiceDefinition } from '@roost/proto/roost/federation/v1/peer';
import { clientOf } from '@roost/rpc/call';
import type { Handlers } from '@roost/rpc/service';
import type { Channels } from '../../channels.ts';
import { addressesOf, type Reach } from '../../discovery/lookup.ts';
import { PeerUnreachable } from '../../discovery/unreachable.ts';
import type { Peers } from '../../peers.ts';
import type { Policy } from '../../policy.ts';
import { type CallSigner, signCall } from '../../signing.ts';

export interface ProbePorts extends CallSigner {
  readonly policy: Pick<Policy, 'admit'>;
  /** How its names are looked up. */
  readonly reach: Reach;
  readonly fetchDocument: (domain: Domain) => Promise<Uint8Array>;
  readonly peers: Pick<Peers, 'believe' | 'find'>;
  readonly channels: Pick<Channels, 'to' | 'drop'>;
}

type Step = 'policy' | 'address' | 'directory' | 'keys' | 'version' | 'connection';

/** What every homeserver answers to whom it lets in. */
const ASKED = `/${AuthenticationServiceDefinition.fullName}/GetPublicKeys`;
const ANSWER_MS = 10 * SECOND_MS;

/**
 * Does with another homeserver what an exchange does, one step after the other and whatever was found a
 * moment ago, and says what came of each: up to the first that failed, with what to do about it.
 */
export function probeHandlers(
  ports: ProbePorts,
): Pick<Handlers<typeof FederationAdminServiceDefinition>, 'probePeer'> {
  return {
    async probePeer({ domain: text }, { signal }) {
      const domain = parsePeerDomain(text);
      const steps: ProbeStep[] = [];
      for await (const step of probe(ports, domain, signal)) steps.push(step);
      return { steps };
    },
  };
}

async function* probe(
  ports: ProbePorts,
  domain: Domain,
  signal: AbortSignal,
): AsyncGenerator<ProbeStep> {
  const failed = { name: 'policy' as Step };
  const step = async <T>(name: Step, work: () => Promise<T> | T): Promise<T> => {
    failed.name = name;
    return await work();
  };
  try {
    const listing = await step('policy', async () => await ports.policy.admit(domain));
    const listed = listing === undefined ? 'as all are that are not blocked' : 'as it is listed';
    yield went('policy', `${domain} is let in, ${listed}`);

    const found = await step('address', async () => await addressesOf(domain, ports.reach));
    yield went('address', found.map(({ address }) => address).join(', '));

    const signed = await step('directory', async () => {
      return readDirectory(ports.crypto, parseDirectory(await ports.fetchDocument(domain)));
    });
    yield went('directory', foundIn(signed, ports.clock.now()));

    const { keys } = await step('keys', async () => await ports.peers.believe(domain, signed));
    const living = keys.filter(({ revokedAt }) => revokedAt === undefined);
    const ids = living.map(({ keyId }) => nameOf(keyId)).join(', ');
    yield went('keys', `believed: ${ids}`);

    const peer = await step('version', async () => await ports.peers.find(domain));
    yield went('version', `${peer.version} is spoken`);

    const answeredMs = await step('connection', async () => {
      // What was opened before may lead where the name led then.
      ports.channels.drop(domain);
      const { call } = clientOf(
        PeerServiceDefinition,
        await ports.channels.to(peer, listing?.endpoint),
      );
      const request = GetPublicKeysRequest.encode({ domain }).finish();
      const order = { destination: domain, method: ASKED, request, proof: new Uint8Array(0) };
      const begun = performance.now();
      await call(signCall(ports, order), { deadlineMs: ANSWER_MS, signal });
      return performance.now() - begun;
    });
    yield went('connection', `it answered a signed call after ${Math.ceil(answeredMs)} ms`);
  } catch (error) {
    if (!(error instanceof Failure) || signal.aborted) throw error;
    const { name } = failed;
    yield { name, isOk: false, finding: `${error.message}: ${remedyOf(name, domain, error)}` };
  }
}

function went(name: Step, finding: string): ProbeStep {
  return { name, isOk: true, finding };
}

function foundIn({ directory }: SignedDirectory, nowMs: number): string {
  const { serial, endpoint, expiresMs } = directory;
  const hours = Math.round(((expiresMs - nowMs) / DAY_MS) * 24);
  return `serial ${serial}, good for ${hours} h; its gateway is at ${printEndpoint(endpoint)}`;
}

function remedyOf(name: Step, domain: Domain, error: Failure): string {
  switch (name) {
    case 'policy':
      return `"roostctl federation allow ${domain}" lets it in`;
    case 'address':
      return isOfAddress(error)
        ? 'if that is meant to be, add its network to ROOST_FEDERATION_ALLOWED_NETWORKS'
        : 'is the name right, and does this machine resolve it?';
    case 'directory':
      return `its operator has to serve https://${domain}/.well-known/roost-federation with a certificate for ${domain}, of an authority in ROOST_FEDERATION_CA`;
    case 'keys':
      return `ask its operator, by another way, for the ids of its keys; then "roostctl federation trust ${domain} <key ids>"`;
    case 'version':
      return 'nothing can be exchanged until then';
    case 'connection':
      return CONNECTION_REMEDIES[error.reason] ?? 'its log may say more';
  }
}

function isOfAddress(error: Failure): boolean {
  return error instanceof PeerUnreachable && error.flaw === 'address';
}

const CONNECTION_REMEDIES: Partial<Record<Failure['reason'], string>> = {
  UNAVAILABLE:
    'is the endpoint of its directory reachable from here, with a certificate for its domain and not for that host alone?',
  FEDERATION_DENIED: 'its operator has to allow this homeserver',
  BAD_ENVELOPE:
    'it does not believe this homeserver: can it reach our well-known address, and does it ask for a client certificate (ROOST_FEDERATION_CERT)?',
  CLOCK_SKEW: 'one of the two clocks is wrong',
  RATE_LIMITED: 'it answers, but not to so much',
};
