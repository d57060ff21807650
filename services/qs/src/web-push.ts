import { lookup } from 'node:dns';
import { request, type RequestOptions } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { assert } from '@roost/core/assert';
import type { PushRegistration } from '@roost/bus/push';
import { utf8 } from '@roost/core/bytes';
import { HOUR_MS, SECOND_MS, type Clock } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import { isAllowedAddress } from '@roost/federation/address';
import type { Push, PushOutcome } from './push.ts';
import { encryptPush, type Sender, vapidHeader } from './web-push-content.ts';

export interface WebPushOptions {
  readonly crypto: Crypto;
  readonly clock: Clock;
  /** 32 bytes, a number of P-256: subscriptions are for its public key and end with it. */
  readonly privateKey: Uint8Array;
  readonly subject: string;
  /** Whether endpoints inside the own network are called; never where users are strangers. */
  readonly isPrivateAllowed: boolean;
  /** A certificate authority that is trusted besides the public ones, in PEM. */
  readonly authority?: string | undefined;
}

/** The same for everybody and for everything: it says no more than that there is something to fetch. */
const CONTENT = utf8('{"roost":1}');
const TIMEOUT_MS = 10 * SECOND_MS;
/** RFC 8292 §2 has a day at most. */
const VAPID_MS = 12 * HOUR_MS;
const TTL_SECONDS = 24 * 3600;

/**
 * Push by RFC 8030, to browsers and to UnifiedPush. Endpoints are what clients say: only https, only
 * public addresses, checked as they are connected to; no redirect is followed and no answer is read.
 */
export class WebPush implements Push {
  readonly publicKey: Uint8Array;
  readonly #options: WebPushOptions;
  readonly #sender: Sender;

  constructor(options: WebPushOptions) {
    const { crypto, privateKey, subject } = options;
    const publicKey = crypto.p256.publicKey(privateKey);
    assert(publicKey !== undefined, 'the key that signs pushes is a number of P-256');
    this.#options = options;
    this.#sender = { keys: { privateKey: Uint8Array.from(privateKey), publicKey }, subject };
    this.publicKey = publicKey;
  }

  async send({ endpoint, p256dh, auth }: PushRegistration, signal: AbortSignal) {
    const { crypto, clock } = this.#options;
    const url = this.#checked(endpoint);
    if (url === undefined) return 'refused';
    const [salt, sender] = [crypto.random(16), crypto.p256.generate()];
    const body = encryptPush(crypto, { p256dh, auth, salt, sender }, CONTENT);
    if (body === undefined) return 'refused';
    const expiresMs = clock.now() + VAPID_MS;
    const headers = {
      authorization: vapidHeader(crypto, this.#sender, { origin: url.origin, expiresMs }),
      'content-encoding': 'aes128gcm',
      'content-type': 'application/octet-stream',
      'content-length': String(body.length),
      ttl: String(TTL_SECONDS),
      urgency: 'high',
      // A later one takes the place of one that waits (RFC 8030 §5.4).
      topic: 'roost',
    };
    return await this.#post(url, { headers, signal }, body);
  }

  /** A host that is an address is not looked up, so it is looked at here. */
  #checked(endpoint: string): URL | undefined {
    const url = URL.parse(endpoint);
    if (url?.protocol !== 'https:' || url.username !== '' || url.password !== '') return undefined;
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const isHidden = isIP(host) !== 0 && !isAllowedAddress(host);
    return isHidden && !this.#options.isPrivateAllowed ? undefined : url;
  }

  async #post(url: URL, options: RequestOptions, body: Uint8Array): Promise<PushOutcome> {
    const { isPrivateAllowed, authority } = this.#options;
    return await new Promise((resolve) => {
      const sent = request(
        url,
        {
          ...options,
          method: 'POST',
          // A connection of its own, so that the address of each is looked at.
          agent: false,
          timeout: TIMEOUT_MS,
          ...(isPrivateAllowed ? {} : { lookup: publicLookup }),
          ...(authority === undefined ? {} : { ca: authority }),
        },
        (response) => {
          resolve(outcomeOf(response.statusCode ?? 0));
          response.destroy();
        },
      );
      const late = setTimeout(() => sent.destroy(), TIMEOUT_MS);
      sent.on('timeout', () => sent.destroy());
      sent.on('error', (error) => resolve(error instanceof Hidden ? 'refused' : 'later'));
      sent.on('close', () => {
        clearTimeout(late);
        resolve('later');
      });
      sent.end(body);
    });
  }
}

/** RFC 8030 §5 and §7.3. */
function outcomeOf(status: number): PushOutcome {
  if (status >= 200 && status < 300) return 'sent';
  if (status === 404 || status === 410) return 'gone';
  return status === 429 || status >= 500 ? 'later' : 'refused';
}

/** A name that leads to an address inside. */
class Hidden extends Error {
  override readonly name = 'Hidden';
}

const publicLookup: LookupFunction = (host, options, done) => {
  lookup(host, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return done(error, []);
    const [first] = addresses;
    if (first === undefined || !addresses.every(({ address }) => isAllowedAddress(address))) {
      return done(new Hidden('the name of an endpoint leads inside'), []);
    }
    return options.all === true ? done(null, addresses) : done(null, first.address, first.family);
  });
};
