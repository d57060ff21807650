import { expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
import { nodeCrypto } from '@roost/crypto/node';
import {
  externalSenderOf,
  externalSendersExtension,
  hasOnlySender,
  makeHubProposal,
} from './hub.ts';
import { parseHandshake } from './message.ts';
import { merge } from './public-group.ts';
import { stageProposal } from './stage.ts';
import { deliver, foundGroup, makeCommit, newActor, receive, stateOf } from './testing.ts';

const seed = nodeCrypto.random(32);
const sender = externalSenderOf(nodeCrypto.ed25519.publicKey(seed), 'hub.example');
const groupId = utf8('group');

async function pair() {
  const [alice, bob] = [await newActor(nodeCrypto, 'alice'), await newActor(nodeCrypto, 'bob')];
  const founded = await foundGroup(nodeCrypto, alice, groupId, [externalSendersExtension(sender)]);
  const made = await makeCommit(alice, [
    { proposalType: 'add', add: { keyPackage: bob.keyPackage } },
  ]);
  const group = await deliver(founded, made, alice, { members: [alice], added: [bob] });
  return { alice, bob, group };
}

const removal = (epoch: bigint, by = seed) =>
  makeHubProposal(
    nodeCrypto,
    by,
    { groupId, epoch },
    { proposalType: 'remove', remove: { removed: 1 } },
  );

test('a removal that the hub proposes is taken by server and members, and committed', async () => {
  const { alice, group } = await pair();
  const tls = removal(1n);
  const message = parseHandshake(tls);
  if (message.kind !== 'proposal') throw new Error('it is a proposal');
  const staged = stageProposal(group, message, Date.now());
  expect(staged.actor).toEqual({ kind: 'external', senderIndex: 0 });
  await receive(alice, tls);
  const made = await makeCommit(alice);
  const next = await deliver(merge(staged), made, alice, { members: [] });
  expect(next.context.epoch).toBe(2n);
  expect(stateOf(alice).ratchetTree).toHaveLength(1);
});

test('what another key signs is no proposal of the hub', async () => {
  const { alice, group } = await pair();
  const tls = removal(1n, nodeCrypto.random(32));
  const message = parseHandshake(tls);
  if (message.kind !== 'proposal') throw new Error('it is a proposal');
  expect(() => stageProposal(group, message, Date.now())).toThrow('signature');
  await expect(receive(alice, tls)).rejects.toThrow();
});

test('a group names its hub and nobody else', async () => {
  const { group } = await pair();
  const other = externalSenderOf(nodeCrypto.ed25519.publicKey(seed), 'other.example');
  expect(hasOnlySender(group.context.extensions, sender)).toBe(true);
  expect(hasOnlySender(group.context.extensions, other)).toBe(false);
  expect(hasOnlySender([], sender)).toBe(false);
  const both = {
    extensionType: 'external_senders' as const,
    extensionData: Uint8Array.from([...[0x40, sender.length * 2], ...sender, ...sender]),
  };
  expect(hasOnlySender([both], sender)).toBe(false);
});
