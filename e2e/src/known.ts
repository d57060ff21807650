import { fromHex, toHex, utf8 } from '@roost/core/bytes';
import { ROLES } from '@roost/mls/roles';
import { toBase64 } from '@roost/rpc/frames';
import { parseAuthorization } from '@roost/tokens/challenge';
import type { Witness } from './witness.ts';

/** All that clients know and services may not, or only some of them. */
export const KINDS = [
  ...['user id', 'client id', 'name', 'client key', 'QS id', 'QS key', 'group id', 'group key'],
  ...['leaf key', 'link key', 'participant id', 'handle', 'push key', 'friendship token'],
  ...['access token', 'role', 'MLS bytes', 'title', 'text', 'address'],
] as const;
/** What sort of thing it is. */
export type Kind = (typeof KINDS)[number];
/** By kind: bytes as hex, texts as they are. */
export type Known = Record<Kind, Set<string>>;

/** Everything that the people of a story know; `address` is where they called from. */
export async function allThatIsKnown(people: readonly Witness[], address: string): Promise<Known> {
  const all = Object.fromEntries(KINDS.map((kind) => [kind, new Set<string>()])) as Known;
  const add = (kind: Kind, value: Uint8Array | string | undefined): void => {
    if (value !== undefined) all[kind].add(typeof value === 'string' ? value : toHex(value));
  };
  add('address', address);
  for (const role of Object.keys(ROLES)) if (role !== 'none') add('role', role);
  for (const window of mlsWindows(people)) add('MLS bytes', window);
  for (const person of people) {
    const account = await person.account();
    const { client } = account.credentials ?? {};
    add('user id', client?.user.uuid);
    add('client id', client?.uuid);
    add('name', person.name);
    add('client key', account.signing.publicKey);
    add('client key', account.recovery.publicKey);
    add('QS id', account.qsUser?.uuid);
    add('QS id', account.qsClient?.uuid);
    for (const pair of [account.qsUserKey, account.qsClientKey, account.queueKey]) {
      add('QS key', pair.publicKey);
    }
    for (const { id, keys, leaf, members, title } of await person.groups()) {
      add('group id', id.uuid);
      for (const key of [keys.earKey, keys.linkWrapperKey, keys.participantKey]) {
        add('group key', key);
      }
      add('handle', leaf.handle);
      add('push key', leaf.pushKey);
      add('link key', leaf.linkKey);
      add('title', title === '' ? undefined : title);
      for (const member of members) {
        add('leaf key', member.signatureKey);
        add('participant id', member.participant);
      }
    }
    for (const { leaf } of await person.packages()) {
      add('handle', leaf.handle);
      add('push key', leaf.pushKey);
    }
    for (const { token, ownToken, friendshipKey } of await person.contacts()) {
      for (const secret of [token, ownToken, friendshipKey]) add('friendship token', secret);
    }
    for (const { authorization } of person.recorder.calls) {
      // Type and nonce: what the AAS remembers of a token.
      const token = parseAuthorization(authorization ?? '');
      add('access token', token?.slice(2, 34));
    }
    for (const event of person.events) if (event.kind === 'message') add('text', event.text);
  }
  return all;
}

/** Pieces of what the DS was given; but of KeyPackages, which lie at the QS for whoever claims them. */
function mlsWindows(people: readonly Witness[]): Uint8Array[] {
  const calls = people.flatMap(({ recorder }) => recorder.calls);
  const uploaded = calls.filter(({ path }) => path.includes('.QueueService/'));
  const atQueue = uploaded.map(({ request }) => toHex(request)).join(' ');
  const given = calls.filter(({ path }) =>
    /DeliveryService\/(Create|Commit|Send|Propose|Join)/.test(path),
  );
  return given.flatMap(({ request }) =>
    [0.3, 0.6, 0.9].flatMap((share) => {
      const from = Math.floor(request.length * share);
      const window = request.slice(from, from + WINDOW_BYTES);
      // Zeros and the like are found everywhere.
      const isTelling = new Set(window).size >= WINDOW_BYTES / 2;
      return isTelling && !atQueue.includes(toHex(window)) ? [window] : [];
    }),
  );
}

const WINDOW_BYTES = 24;

/** Every form in which a value could lie somewhere: itself, and each of its codings as bytes. */
export function formsOf(value: string): string[] {
  const hex = value.replaceAll('-', '');
  const bytes = /^[0-9a-f-]{32,}$/.test(value) ? fromHex(hex) : undefined;
  const texts = bytes === undefined ? [value] : [value, hex, ...base64sOf(bytes)];
  return [...texts, ...texts.map((text) => toHex(utf8(text)))];
}

/** In base64 a value looks like three others, by where it stands in what is around it. */
function base64sOf(bytes: Uint8Array): string[] {
  return [0, 1, 2].flatMap((lead) => {
    const whole = toBase64(Uint8Array.of(...new Uint8Array(lead), ...bytes));
    const inner = whole.slice(
      Math.ceil((lead * 8) / 6),
      Math.floor(((lead + bytes.length) * 8) / 6),
    );
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')];
  });
}

/** Which kinds of what the clients know are found in a text. */
export function kindsIn(known: Known, text: string): Kind[] {
  return KINDS.filter((kind) =>
    [...known[kind]].some((value) => formsOf(value).some((form) => text.includes(form))),
  );
}
