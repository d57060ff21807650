import { utf8 } from '@roost/core/bytes';
import { sleep, systemClock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { prepare } from '@roost/ds/testing/deeds.fixture';
import {
  asMember,
  asNew,
  foundingOf,
  newRoom,
  person,
  type Person,
  type Room,
  where,
} from '@roost/ds/testing/people.fixture';
import { connectTo } from '@roost/e2e/door';
import { Wire } from '@roost/e2e/wire';
import { makeApplication } from '@roost/mls/testing';
import { DeliveryServiceDefinition } from '@roost/proto/roost/delivery/v1/delivery';
import { clientOf, type Client } from '@roost/rpc/client';
import type { Tokens } from '@roost/e2e/tokens';
import { Failure } from '@roost/core/failure';
import type { Log } from './log.ts';
import type { Site } from './site.ts';

const EVERY_MS = 400;
const ACK = '/roost.queue.v1.QueueService/Ack';
/** What is no way in: a refusal, or nobody there. */
const SHUT = /^(TOKEN_\w+|UNAVAILABLE|DRAINING|RATE_LIMITED|HTTP .*|code 14)$/;

interface Parts {
  readonly site: Site;
  readonly tokens: Tokens;
  readonly delivery: Client<typeof DeliveryServiceDefinition>;
  readonly room: Room;
  readonly founder: Person;
  /** Who was a member, and is none any more. */
  readonly outcast: Person;
  readonly spent: string;
  readonly all: Disposable;
}

/**
 * Tries all the time what must never succeed: a call without a token, one with a token that was spent,
 * and with the keys of somebody who was removed to speak in a group and to read its log.
 */
export class Intruder implements AsyncDisposable {
  readonly #parts: Parts;

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  static async come(site: Site): Promise<Intruder> {
    using all = new DisposableStack();
    const { domain } = site.home;
    const tokens = await site.tokens();
    const channel = all.use(connectTo(site.door));
    const signing = { crypto, clock: systemClock, audience: domain };
    const delivery = clientOf(DeliveryServiceDefinition, channel, signing);
    const pay = async () => ({ token: await tokens.takeRaw('general') });
    const [founder, outcast] = [
      await person('founder', { domain }),
      await person('outcast', { domain }),
    ];
    const room = { ...newRoom(), id: { ...newRoom().id, domain } };
    const { externalSender } = await delivery.getExternalSender({});
    const founding = await foundingOf(founder, room, 'group', {
      externalSenders: [externalSender],
    });
    await delivery.createGroup(founding, { ...asNew(founder), ...(await pay()) });
    for (const change of [{ add: [outcast] }, { remove: [outcast] }]) {
      const { made, request } = await prepare(founder, room, change);
      const { result } = await delivery.commit(request, {
        ...asMember(founder),
        ...(await pay()),
      });
      if (result?.$case !== 'accepted') throw new Error('this commit has no rival');
      founder.actor.state = made.state;
    }
    const spent = await tokens.take('general');
    const parts = { site, tokens, delivery, room, founder, outcast, spent };
    const intruder = new Intruder({ ...parts, all: all.move() });
    await intruder.#spend(spent);
    return intruder;
  }

  /** Tries until it is disposed of, and writes down where it came through. */
  begin(log: Log): AsyncDisposable {
    const stop = new AbortController();
    const trying = this.#try(log, stop.signal);
    return {
      async [Symbol.asyncDispose]() {
        stop.abort();
        await trying;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#parts.all[Symbol.dispose]();
  }

  async #try(log: Log, signal: AbortSignal): Promise<void> {
    const intruded = (by: string, into: string): void => log.add({ kind: 'intruded', by, into });
    for (; !signal.aborted; await sleep(EVERY_MS, signal)) {
      const [free, again] = [await this.#say(undefined), await this.#say(this.#parts.spent)];
      if (!SHUT.test(free)) intruded('somebody without a token', `Ack: ${free}`);
      if (!SHUT.test(again)) intruded('somebody with a spent token', `Ack: ${again}`);
      for (const [method, said] of Object.entries(await this.#asOutcast())) {
        if (said === 'OK') intruded('somebody who was removed', method);
      }
    }
  }

  async #say(authorization: string | undefined): Promise<string> {
    const { site } = this.#parts;
    return await saidBy(
      async () => (await new Wire(site.door).grpc({ path: ACK, authorization })).said,
    );
  }

  /** Spends a token for certain: passed the gate, and stopped behind it for want of a signature. */
  async #spend(authorization: string): Promise<void> {
    const said = await this.#say(authorization);
    if (said !== 'UNAUTHENTICATED') throw new Error(`a token is good at first, not ${said}`);
  }

  async #asOutcast(): Promise<Record<string, string>> {
    const { delivery, room, outcast, founder, tokens } = this.#parts;
    const at = where(room);
    const options = async () => ({
      ...asMember(outcast),
      token: await tokens.takeRaw('general'),
    });
    // What a member could send now, signed by who is none.
    const message = { tls: await makeApplication(founder.actor, utf8('let me in')) };
    return {
      SendMessage: await saidBy(async () => {
        await delivery.sendMessage({ ...at, message }, await options());
        return 'OK';
      }),
      GetLog: await saidBy(async () => {
        await delivery.getLog({ ...at, fromEpoch: 0n }, await options());
        return 'OK';
      }),
    };
  }
}

/** What was said, or why nothing was. */
async function saidBy(ask: () => Promise<string>): Promise<string> {
  try {
    return await ask();
  } catch (error) {
    return error instanceof Failure ? error.reason : 'HTTP broken';
  }
}
