import { utf8 } from '@roost/core/bytes';
import { encode } from '@roost/core/tls';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { merge, treeBytes } from '../src/public-group.ts';
import type { PublicGroup } from '../src/public-group.ts';
import { parseHandshake } from '../src/message.ts';
import { encodeRoomState } from '../src/room.ts';
import { stageProposal } from '../src/stage.ts';
import { encodePublicGroup } from '../src/stored.ts';
import { templateNamed } from '../src/templates.ts';
import { addOf, contextOf, makeScene, removeOf, roomExtension } from '../src/testing-scene.ts';
import type { TestScene } from '../src/testing-scene.ts';
import { forgeProposal } from '../src/testing-forge.ts';
import {
  deliver,
  keyPackageTls,
  makeApplication,
  makeCommit,
  makeExternalCommit,
  newActor,
} from '../src/testing.ts';
import type { Actor, MadeCommit } from '../src/testing.ts';

/** Real messages of a real group, by the target that reads them, and the group. */
export async function makeMlsSeeds(): Promise<{
  readonly scene: Uint8Array;
  readonly seeds: Record<string, readonly Uint8Array[]>;
}> {
  const scene = await settle(await makeScene(crypto));
  const { a, b, outsider, group } = scene;
  const fresh = await newActor(crypto, 'outsider 2');
  const add = await makeCommit(a, [addOf(outsider)]);
  const commits = [
    await makeCommit(a),
    add,
    await makeCommit(a, [removeOf(2), addOf(outsider)], utf8('aad')),
    await makeCommit(b, [contextOf(...group.context.extensions)]),
    await makeCommit(b, [removeOf(0), removeOf(2)]),
    await makeExternalCommit(outsider, group),
    await makeExternalCommit(b, group, true),
  ];
  const proposals = await proposalsOf(scene, fresh);
  const { welcome = new Uint8Array(0) } = add;
  return {
    scene: sceneFile(withPending(group, proposals), add),
    seeds: {
      handshake: [...commits.map(({ tls }) => tls), ...proposals],
      commit: commits.map(({ tls }) => tls),
      proposal: proposals,
      application: [await makeApplication(a, utf8('hello')), await makeApplication(b, utf8(''))],
      welcome: [welcome],
      'group-info': [group.groupInfoTls, add.groupInfo],
      'key-package': [keyPackageTls(outsider), keyPackageTls(fresh)],
      tree: [treeBytes(group)],
      founding: [foundingOf(group)],
      room: rooms(),
    },
  };
}

/** A group in which somebody left a hole and somebody committed a path: the tree has all kinds of nodes. */
async function settle(scene: TestScene): Promise<TestScene> {
  const { a, b, c } = scene;
  const others = [await newActor(crypto, 'd'), await newActor(crypto, 'e')];
  const grown = await makeCommit(a, others.map(addOf));
  let group = await deliver(scene.group, grown, a, { members: [a, b, c], added: others });
  const members = [a, b, c, ...others];
  group = await deliver(group, await makeCommit(c), c, { members });
  const left = await makeCommit(b, [removeOf(3)]);
  const stay = members.filter((member) => member !== others[0]);
  return { ...scene, group: await deliver(group, left, b, { members: stay }) };
}

async function proposalsOf({ a, b, hub, group }: TestScene, fresh: Actor): Promise<Uint8Array[]> {
  const member = { senderType: 'member', leafIndex: 1 } as const;
  const external = { senderType: 'external', senderIndex: 0 } as const;
  const newcomer = { senderType: 'new_member_proposal' } as const;
  return [
    await forgeProposal(b, group, member, removeOf(1)),
    await forgeProposal(b, group, member, addOf(fresh)),
    await forgeProposal(b, group, member, contextOf(roomExtension('another'))),
    await forgeProposal(hub, group, external, removeOf(2)),
    await forgeProposal(fresh, group, newcomer, addOf(fresh)),
    await forgeProposal(a, group, { senderType: 'member', leafIndex: 0 }, removeOf(4)),
  ];
}

/** With the first of them waiting for a commit. */
function withPending(group: PublicGroup, [first]: readonly Uint8Array[]): PublicGroup {
  const message = first && parseHandshake(first);
  if (message?.kind !== 'proposal') return group;
  return merge(stageProposal(group, message, Date.now()));
}

function sceneFile(group: PublicGroup, { groupInfo, welcome }: MadeCommit): Uint8Array {
  return encode((writer) =>
    writer
      .u64(BigInt(Date.now()))
      .opaque(encodePublicGroup(group))
      .opaque(groupInfo)
      .opaque(welcome ?? new Uint8Array(0)),
  );
}

function foundingOf(group: PublicGroup): Uint8Array {
  return encode((writer) => writer.opaque(group.groupInfoTls).opaque(treeBytes(group)));
}

function rooms(): Uint8Array[] {
  const names = ['dm', 'group_dm', 'cooperative', 'strict', 'moderated', 'public'] as const;
  const participant = '00112233445566778899aabbccddeeff';
  return names.map((name) => {
    const { kind, defaultRole, roles } = templateNamed(name);
    const entries = [{ participant, role: 'owner' as const }];
    return encodeRoomState({ kind, defaultRole, roles, sealedTitle: utf8(name), entries });
  });
}
