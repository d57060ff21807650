import { expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';
import { DAY_MS } from '@roost/core/time';
import { nodeCrypto } from '@roost/crypto/node';
import type { EnqueueDirectRequest } from '@roost/proto/roost/authentication/v1/authentication';
import { SectionType } from '@roost/proto/roost/authentication/v1/authentication';
import { registerAs, runningAs } from './actors.fixture.ts';

type User = Awaited<ReturnType<typeof registerAs>>;

function messageTo(user: User, text: string): EnqueueDirectRequest {
  const sections = [{ type: SectionType.IDENTITY, sealed: new TextEncoder().encode(text) }];
  return {
    userId: user.begun.userId,
    messageId: nodeCrypto.random(16),
    messages: [{ clientId: user.begun.clientId, sections }],
  };
}

async function reasonOf(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call;
  } catch (error) {
    return error instanceof Failure ? error.reason : error;
  }
}

const textOf = ({ sections }: { sections: readonly { sealed: Uint8Array }[] }): string =>
  sections.map(({ sealed }) => new TextDecoder().decode(sealed)).join();

test('messages of many strangers at once lie densely and in order, each once', async () => {
  await using as = await runningAs();
  const bob = await registerAs(as, 'bob');
  const sent = Array.from({ length: 30 }, (_, at) => messageTo(bob, `m${at}`));
  // Every message is sent twice: the answer to the first may have been lost.
  await Promise.all(
    [...sent, ...sent].map(async (message) => await as.client.enqueueDirect(message)),
  );

  const read = await as.client.dequeueDirect({ fromSequence: 0n, max: 0 }, bob.signed);
  expect(read.messages.map(({ sequence }) => sequence)).toEqual(sent.map((_, at) => BigInt(at)));
  expect(new Set(read.messages.map(textOf)).size).toBe(30);
  expect(read.remaining).toBe(0n);
});

test('an acknowledgement deletes below it, for its owner only, and never what lies behind', async () => {
  await using as = await runningAs();
  const bob = await registerAs(as, 'bob');
  const eve = await registerAs(as, 'eve');
  for (const text of ['a', 'b', 'c']) await as.client.enqueueDirect(messageTo(bob, text));

  expect(await reasonOf(as.client.ackDirect({ belowSequence: 1n }, eve.signed))).toBe('MALFORMED');
  await as.client.ackDirect({ belowSequence: 2n }, bob.signed);
  const read = await as.client.dequeueDirect({ fromSequence: 0n, max: 0 }, bob.signed);
  expect(read.messages.map(textOf)).toEqual(['c']);
  expect(await reasonOf(as.client.ackDirect({ belowSequence: 4n }, bob.signed))).toBe('MALFORMED');

  const paged = await as.client.dequeueDirect({ fromSequence: 2n, max: 1 }, bob.signed);
  expect(paged).toMatchObject({ remaining: 0n });
});

test('a full queue refuses its sender and takes again once it is read', async () => {
  await using as = await runningAs({ directQueue: { messagesMax: 2n, bytesMax: 1_000n } });
  const bob = await registerAs(as, 'bob');
  for (const text of ['a', 'b']) await as.client.enqueueDirect(messageTo(bob, text));
  const third = messageTo(bob, 'c');
  expect(await reasonOf(as.client.enqueueDirect(third))).toBe('QUEUE_FULL');
  await as.client.ackDirect({ belowSequence: 1n }, bob.signed);
  await as.client.enqueueDirect(third);
  const read = await as.client.dequeueDirect({ fromSequence: 1n, max: 0 }, bob.signed);
  expect(read.messages.map(textOf)).toEqual(['b', 'c']);
});

test('malformed messages are refused and change nothing', async () => {
  await using as = await runningAs();
  const bob = await registerAs(as, 'bob');
  const good = messageTo(bob, 'good');
  const [first] = good.messages;
  if (first === undefined) throw new Error('a message is for a client');
  const elsewhere = { ...good, userId: { ...good.userId!, domain: 'other.example' } };
  const nobody = { uuid: nodeCrypto.random(16), domain: 'roost.example' };
  const wrong: [EnqueueDirectRequest, string][] = [
    [{ ...good, messageId: nodeCrypto.random(15) }, 'MALFORMED'],
    [{ ...good, messages: [] }, 'MALFORMED'],
    [{ ...good, messages: [first, first] }, 'MALFORMED'],
    [{ ...good, messages: [{ ...first, sections: [] }] }, 'MALFORMED'],
    [elsewhere, 'FEDERATION_DENIED'],
    [{ ...good, userId: nobody }, 'MALFORMED'],
    [{ ...good, userId: undefined }, 'MALFORMED'],
    [
      {
        ...good,
        userId: nobody,
        messages: [{ ...first, clientId: { user: nobody, uuid: nodeCrypto.random(16) } }],
      },
      'USER_UNKNOWN',
    ],
  ];
  for (const [request, reason] of wrong) {
    expect(await reasonOf(as.client.enqueueDirect(request))).toBe(reason);
  }
  await as.client.enqueueDirect(good);
  const other = { ...messageTo(bob, 'other'), messageId: good.messageId };
  expect(await reasonOf(as.client.enqueueDirect(other))).toBe('ID_REUSED');
  const read = await as.client.dequeueDirect({ fromSequence: 0n, max: 0 }, bob.signed);
  expect(read.messages.map(textOf)).toEqual(['good']);
  as.clock.advance(DAY_MS);
});

test('a listener gets what is there and what comes, and the newer one takes over', async () => {
  await using as = await runningAs();
  const bob = await registerAs(as, 'bob');
  await as.client.enqueueDirect(messageTo(bob, 'before'));

  const heard: string[] = [];
  const ended = (async () => {
    for await (const { messages } of as.client.listenDirect({ fromSequence: 0n }, bob.signed)) {
      heard.push(...messages.map(textOf));
      if (heard.length === 1) await as.client.enqueueDirect(messageTo(bob, 'after'));
      if (heard.length === 2) break;
    }
  })();
  await ended;
  expect(heard).toEqual(['before', 'after']);

  const older = as.client.listenDirect({ fromSequence: 1n }, bob.signed)[Symbol.asyncIterator]();
  expect((await older.next()).value?.messages.map(textOf)).toEqual(['after']);
  const newer = as.client.listenDirect({ fromSequence: 2n }, bob.signed)[Symbol.asyncIterator]();
  const waiting = newer.next();
  expect(await reasonOf(older.next())).toBe('LISTENER_REPLACED');
  await as.client.enqueueDirect(messageTo(bob, 'new'));
  expect((await waiting).value?.messages.map(textOf)).toEqual(['new']);

  as.service.drain();
  const last = await newer.next();
  expect(last.value?.reconnectWithinMs).toBeGreaterThan(0);
  expect((await newer.next()).done).toBe(true);
});
