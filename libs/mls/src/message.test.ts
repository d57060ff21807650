import { beforeAll, describe, expect, test } from '@jest/globals';
import { concat, utf8 } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { nodeCrypto } from '@roost/crypto/node';
import fc from 'fast-check';
import { decodeUint8, encodeUint8 } from 'ts-mls/codec/number.js';
import { createApplicationMessage, createProposal } from 'ts-mls/createMessage.js';
import { createCommit } from 'ts-mls/createCommit.js';
import { decodeMlsMessage, encodeMlsMessage } from 'ts-mls/message.js';
import { keyPackageRef } from './key-package.ts';
import {
  decodeStrict,
  handshakeBytesMax,
  parseApplication,
  parseGroupInfo,
  parseHandshake,
  parseKeyPackage,
  parseWelcome,
  splitWelcome,
} from './message.ts';
import type { HandshakeMessage } from './message.ts';
import { hostileMessages } from './testing-hostile.ts';
import { addOf, failureOf, makeScene, removeOf } from './testing-scene.ts';
import type { TestScene } from './testing-scene.ts';
import { keyPackageTls, makeCommit, stateOf } from './testing.ts';

let scene: TestScene;
let application: Uint8Array;

beforeAll(async () => {
  scene = await makeScene(nodeCrypto);
  const { a } = scene;
  const made = await createApplicationMessage(stateOf(a), utf8('hi'), a.suite, utf8('aad'));
  application = encodeMlsMessage({
    version: 'mls10',
    wireformat: 'mls_private_message',
    privateMessage: made.privateMessage,
  });
});

test('what is readable of messages is read', async () => {
  const { a, group } = scene;
  const { tls } = await makeCommit(a, [], utf8('aad'));
  const commit = parseHandshake(tls);

  expect(commit).toMatchObject({ kind: 'commit', epoch: 1n, groupId: group.context.groupId });
  expect(commit.authenticatedData).toEqual(utf8('aad'));
  expect(commit.sender).toEqual({ senderType: 'member', leafIndex: 0 });
  expect(parseApplication(application)).toMatchObject({
    epoch: 1n,
    authenticatedData: utf8('aad'),
  });
});

test('§6: handshakes are PublicMessages and application messages PrivateMessages', async () => {
  const { a } = scene;
  const context = { state: stateOf(a), cipherSuite: a.suite };
  const commit = encodeMlsMessage((await createCommit(context)).commit);
  const made = await createProposal(stateOf(a), false, removeOf(1), a.suite);
  const proposal = encodeMlsMessage(made.message);

  for (const tls of [commit, proposal]) {
    expect(failureOf(() => parseHandshake(tls)).message).toContain('PublicMessage');
    expect(failureOf(() => parseApplication(tls)).message).toContain('PublicMessage');
  }
  const { groupId } = scene.group.context;
  const sender = { senderType: 'new_member_commit' } as const;
  const content = { groupId, epoch: 1n, sender, authenticatedData: utf8('') };
  const open = encodeMlsMessage({
    version: 'mls10',
    wireformat: 'mls_public_message',
    publicMessage: {
      content: { ...content, contentType: 'application', applicationData: utf8('hi') },
      auth: { contentType: 'application', signature: utf8('') },
      senderType: 'new_member_commit',
    },
  });
  expect(failureOf(() => parseHandshake(open)).message).toContain('not encrypted');
  expect(failureOf(() => parseHandshake(application)).message).toContain('PublicMessage');
  expect(failureOf(() => parseApplication(scene.update.tls)).message).toBe(
    'an application message is not a PrivateMessage (RFC 9420 §6)',
  );
  expect(failureOf(() => parseKeyPackage(application)).message).toBe(
    'not a KeyPackage (RFC 9420 §10)',
  );
});

test('§6.3: an application message has sender data and content that might be decrypted', () => {
  const decoded = decodeMlsMessage(application, 0)?.[0];
  if (decoded?.wireformat !== 'mls_private_message') throw new Error('it is private');
  const { privateMessage } = decoded;
  const strange = [
    { ...privateMessage, encryptedSenderData: new Uint8Array(27) },
    { ...privateMessage, ciphertext: new Uint8Array(16) },
  ];
  for (const one of strange) {
    const tls = encodeMlsMessage({ ...decoded, privateMessage: one });
    expect(failureOf(() => parseApplication(tls)).message).toBe(
      'nobody could decrypt an application message (RFC 9420 §6.3)',
    );
  }
});

describe('hostile bytes', () => {
  const parsers = {
    parseHandshake,
    parseApplication,
    parseWelcome,
    parseGroupInfo,
    parseKeyPackage,
  };

  function messages(): Uint8Array[] {
    const { add, external, outsider } = scene;
    const { welcome = utf8('') } = add;
    return [add.tls, external.tls, application, welcome, add.groupInfo, keyPackageTls(outsider)];
  }

  function parseAny(tls: Uint8Array): number {
    let parsed = 0;
    for (const parse of Object.values(parsers)) {
      try {
        parse(tls);
        parsed++;
      } catch (error) {
        if (!(error instanceof Failure) || error.reason !== 'INVALID_MLS') throw error;
      }
    }
    return parsed;
  }

  test('each message is read by one parser', () => {
    for (const tls of messages()) expect(parseAny(tls)).toBe(1);
  });

  test('a byte too many, or too few, is refused', () => {
    for (const tls of messages()) {
      expect(parseAny(concat(tls, Uint8Array.of(0)))).toBe(0);
      expect(parseAny(tls.subarray(0, -1))).toBe(0);
    }
  });

  test('§2.1.2: a length that is longer than it need be is refused', () => {
    // version and wire format, then the length of the group id.
    const { tls } = scene.update;
    const longer = concat(tls.subarray(0, 4), Uint8Array.of(0x40, tls[4] ?? 0), tls.subarray(5));
    expect(failureOf(() => parseHandshake(longer)).message).toContain('§2.1');
  });

  test('a length of a gigabyte is refused at once', () => {
    const { tls } = scene.update;
    const huge = concat(tls.subarray(0, 4), Uint8Array.of(0xbf, 0xff, 0xff, 0xff), tls.subarray(5));
    expect(failureOf(() => parseHandshake(huge)).reason).toBe('INVALID_MLS');
  });

  test('2 MiB are read or refused in a moment, whatever they are filled with', () => {
    for (const [what, tls] of hostileMessages()) {
      const milliseconds = (): number => {
        const before = process.cpuUsage();
        readOf(tls);
        const { user, system } = process.cpuUsage(before);
        return (user + system) / 1000;
      };
      // 5 to 60 ms here; filled with empty entries they took 4 s before they were walked over. The least
      // of three: a machine that is taken away for a moment counts as time of ours.
      const least = Math.min(milliseconds(), milliseconds(), milliseconds());
      expect({ what, isSlow: least > 700 }).toEqual({ what, isSlow: false });
    }
  });

  test('any change of any byte is refused, or read as another valid message', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), (which, where, mask) => {
        const tls = Uint8Array.from(messages()[which % 6] ?? []);
        const at = where % tls.length;
        tls[at] = (tls[at] ?? 0) ^ mask;
        expect(parseAny(tls)).toBeLessThanOrEqual(1);
      }),
      { numRuns: 500 },
    );
  });

  test('random bytes are refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(parseAny(bytes)).toBe(0);
      }),
    );
  });
});

test('§2.1: what does not decode, or would be encoded otherwise, is refused', () => {
  const read = (...bytes: number[]) =>
    decodeStrict(Uint8Array.from(bytes), 'it', decodeUint8, encodeUint8);

  expect(read(7)).toBe(7);
  expect(failureOf(() => read()).message).toBe('it does not decode');
  expect(failureOf(() => read(7, 7)).message).toBe(
    'it has trailing bytes or is not canonical (RFC 9420 §2.1)',
  );
});

test('a handshake is as long as a group and its joiners make it, and at most 2 MiB', async () => {
  const { tls } = scene.add;

  expect(handshakeBytesMax(1, 0)).toBeLessThan(512 * 1024);
  expect(handshakeBytesMax(3, 1)).toBeGreaterThan(tls.length);
  // A path in a tree of blanks, in X-Wing: a key of 1,216 bytes up the tree, a ciphertext to each.
  expect(handshakeBytesMax(1_000, 0)).toBeGreaterThan(11 * 1_216 + 1_000 * (1_120 + 64 + 16 + 4));
  expect(handshakeBytesMax(100_000, 256)).toBe(2 * 1024 * 1024);
});

test('a Welcome is split by joiner', async () => {
  const { a, hub, outsider } = scene;
  const { welcome } = await makeCommit(a, [addOf(hub), addOf(outsider)]);
  if (welcome === undefined) throw new Error('there is a Welcome');
  const ref = keyPackageRef(nodeCrypto, keyPackageTls(hub));

  const own = parseWelcome(splitWelcome(welcome, ref));

  expect(parseWelcome(welcome).secrets).toHaveLength(2);
  expect(own.secrets.map(({ newMember }) => newMember)).toEqual([ref]);
  expect(own.encryptedGroupInfo).toEqual(parseWelcome(welcome).encryptedGroupInfo);
  const stranger = nodeCrypto.random(32);
  expect(failureOf(() => splitWelcome(welcome, stranger)).reason).toBe('WELCOME_MISMATCH');
});

function readOf(tls: Uint8Array): HandshakeMessage | undefined {
  try {
    return parseHandshake(tls);
  } catch (error) {
    if (!(error instanceof Failure) || error.reason !== 'INVALID_MLS') throw error;
    return undefined;
  }
}
