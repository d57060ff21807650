import { Failure } from '@roost/core/failure';
import { clientWire } from '@roost/core/ids';
import { type Clock, HOUR_MS, MINUTE_MS, sleep, systemClock } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import {
  decodeIssuerKeySet,
  type IssuerKeySet,
  type TokenClass,
  verifyIssuerKeySet,
} from '@roost/identity/issuer-keys';
import { IssuedClass } from '@roost/proto/roost/tokens/v1/tokens';
import type { Transport } from '@roost/rpc/call';
import { Caller, servicesOf, SkewedClock } from './calls.ts';
import { accountOf, type Core, ownClient } from './core.ts';
import { directFollowing, queueFollowing } from './inbox.ts';
import { KeyPackages } from './key-packages.ts';
import { isTransient, Lanes } from './lanes.ts';
import type { Ledger } from './ledger.ts';
import { follow } from './listener.ts';
import { Mls } from './mls.ts';
import { News } from './news.ts';
import { Nudge } from './nudge.ts';
import { PeersAway } from './peers-away.ts';
import { perform, refused } from './perform.ts';
import { makeQueueRecords } from './queue-records.ts';
import { registerAccount, renewAccount } from './registration.ts';
import { renewKeys } from './renew-keys.ts';
import { clientSigner } from './signers.ts';
import { tidyAll } from './tidy.ts';
import { Trust } from './trust.ts';
import { type Issuer, Wallet } from './wallet.ts';

/** What a client runs on. */
export interface Ports {
  readonly transport: Transport;
  readonly crypto: Crypto;
  readonly clock?: Clock | undefined;
  /** Hears of what nobody answers for: bugs, and servers that misbehave. */
  readonly report?: ((error: unknown) => void) | undefined;
}

const UPKEEP_MS = HOUR_MS;
const UPKEEP_RETRY_MS = MINUTE_MS;

/** The parts of a client that run: both queues, the lanes, and what is looked after by the hour. */
export class Running {
  readonly core: Core;
  readonly #wallet: Wallet;
  readonly #keyPackages: KeyPackages;
  readonly #stop = new AbortController();
  readonly #nudge = new Nudge();
  readonly #loops: Promise<void>[] = [];
  #isReachable = true;

  constructor(ledger: Ledger, { transport, crypto, report = () => undefined, ...ports }: Ports) {
    const { domain } = accountOf({ ledger });
    const clock = new SkewedClock(ports.clock ?? systemClock);
    const services = servicesOf(transport, { crypto, clock, audience: domain });
    const purse = {
      take: async (each: TokenClass) => this.#wallet.take(each),
      giveBack: (each: TokenClass, token: Uint8Array) => this.#wallet.giveBack(each, token),
      distrust: async (token: Uint8Array) => this.#wallet.distrust(token),
    };
    const caller = new Caller({ services, purse, clock, closing: this.#stop.signal });
    const trust = new Trust({ ledger, crypto, clock, caller, domain });
    const news = new News(ledger);
    const peersAway = new PeersAway(news);
    const lanes = new Lanes({
      ledger,
      crypto,
      perform: (lane, key, task) => perform(this.core, lane, key, task),
      refused: (refusal) => refused(this.core, refusal),
      reachable: (isReachable) => this.#reachable(isReachable),
      peerAway: (lane, peer) => peersAway.note(lane, peer),
      report,
    });
    const common = { ledger, crypto, clock, caller, trust, lanes, report };
    this.core = { ...common, mls: new Mls(crypto), news };
    const issuer = issuerOf(this.core);
    this.#wallet = new Wallet({ ledger, issuer, crypto, clock, domain });
    this.#keyPackages = new KeyPackages(this.core);
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Takes the account through whatever it has not done yet; needs the homeserver. */
  async setUp(inviteCode?: string): Promise<void> {
    await registerAccount(this.core, inviteCode);
    await makeQueueRecords(this.core);
    await this.#keyPackages.refill();
  }

  start(): void {
    const { signal } = this;
    const reachable = (isReachable: boolean): void => this.#reachable(isReachable);
    const parts = { signal, nudge: this.#nudge, reachable };
    const queue = queueFollowing(this.core, this.#keyPackages);
    this.#loops.push(
      follow(this.core, queue, parts),
      follow(this.core, directFollowing(this.core), parts),
      this.#upkeep(),
    );
    this.core.lanes.start();
    tidyAll(this.core);
  }

  hurry(isLineNew: boolean): void {
    this.#nudge.push(isLineNew);
    this.core.lanes.hurry();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.core.lanes.close();
    await Promise.allSettled(this.#loops);
    await this.#wallet.flush();
    await this.core.ledger.settled();
  }

  /** Looks after keys, tokens and KeyPackages, at the start and by the hour. */
  async #upkeep(): Promise<void> {
    const steps = [
      async () => renewKeys(this.core),
      async () => this.core.trust.refresh(),
      async () => renewAccount(this.core),
      async () => this.#keyPackages.refill(),
      async () => this.#wallet.fill(),
      // Others may let us wait: nothing else does that.
      async () => this.core.trust.refreshOthers(),
    ];
    while (!this.signal.aborted) {
      let waitMs = UPKEEP_MS;
      for (const step of steps) {
        await step().catch((error: unknown) => {
          waitMs = UPKEEP_RETRY_MS;
          if (!isTransient(error) && !this.signal.aborted) this.core.report(error);
        });
      }
      await sleep(waitMs, this.signal);
    }
  }

  #reachable(isReachable: boolean): void {
    if (isReachable === this.#isReachable || this.signal.aborted) return;
    this.#isReachable = isReachable;
    this.core.news.pass({ kind: isReachable ? 'back' : 'away' });
    if (isReachable) this.core.lanes.hurry();
  }
}

/** The AAS, as the wallet sees it. */
function issuerOf(core: Core): Issuer {
  const { caller, crypto, trust } = core;
  return {
    async keys(): Promise<IssuerKeySet> {
      const signed = await caller.ask({}, (options) =>
        caller.services.tokens.getIssuerKeys({}, options),
      );
      await trust.refresh();
      const { publicKey } = trust.issuer(signed.issuer);
      if (!verifyIssuerKeySet(crypto, publicKey, signed.keySet, signed.signature)) {
        throw new Failure('UNAUTHENTICATED', 'the issuer keys are not signed by the homeserver');
      }
      const keySet = decodeIssuerKeySet(signed.keySet);
      if (keySet.domain !== trust.domain) {
        throw new Failure('UNAUTHENTICATED', 'the issuer keys are of another domain');
      }
      return keySet;
    },
    async issue({ tokenClass, ...batch }) {
      const issuedClass = tokenClass === 'general' ? IssuedClass.GENERAL : IssuedClass.CONTACT;
      const request = { ...batch, clientId: clientWire(ownClient(core)), issuedClass };
      const { blindSignatures } = await caller.ask({ sign: clientSigner(core) }, (options) =>
        caller.services.tokens.issueTokens(request, options),
      );
      return blindSignatures;
    },
  };
}
