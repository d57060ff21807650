import { concat, utf8 } from '@roost/core/bytes';
import type { Proposal } from 'ts-mls/proposal.js';
import { encodeMlsMessage } from 'ts-mls/message.js';
import type { MlsMessageContent } from 'ts-mls/message.js';
import { parseHandshake, publicMessageOf } from './message.ts';
import { HUB, memberAt, NEWCOMER, proposing, staging } from './testing-checks.ts';
import type { Attempt, Check } from './testing-checks.ts';
import { forgeCommit } from './testing-forge.ts';
import type { Forged } from './testing-forge.ts';
import { addOf, removeOf, updateBy } from './testing-scene.ts';
import type { TestScene } from './testing-scene.ts';
import { stateOf } from './testing.ts';
import type { MadeCommit } from './testing.ts';

/** RFC 9420 §6 and §12.1.8: what a message is, where it goes, whom it is from. */

const by = (forged: Forged): Check['make'] => {
  return async (scene) => {
    const { a, group, update } = scene;
    return staging(group, await forgeCommit(a, group, update, forged));
  };
};

/** The update of a with its bytes changed and its signature left. */
const rewritten = (change: (tls: Uint8Array, scene: TestScene) => Uint8Array): Check['make'] => {
  return (scene) => staging(scene.group, { ...scene.update, tls: change(scene.update.tls, scene) });
};

const wireFormat = (content: (scene: TestScene) => MlsMessageContent): Check['make'] =>
  rewritten((_, scene) => encodeMlsMessage({ version: 'mls10', ...content(scene) }));

function replaced(tls: Uint8Array, at: number, ...bytes: number[]): Uint8Array {
  return concat(tls.subarray(0, at), Uint8Array.from(bytes), tls.subarray(at + 1));
}

/** `version`, `wire_format`, `group_id`, `epoch` of the group "group" end here. */
const SENDER_AT = 2 + 2 + 6 + 8;
const CONTENT_TYPE_AT = SENDER_AT + 5 + 1;

export const FRAMING: readonly Check[] = [
  {
    says: 'handshake message does not decode: 2 cannot be its protocol version (RFC 9420 §6)',
    of: 'a commit in MLS 2.0',
    make: rewritten((tls) => replaced(tls, 1, 2)),
  },
  {
    says: 'handshake message does not decode: 9 cannot be its wire format (RFC 9420 §6)',
    of: 'a commit in an unknown wire format',
    make: rewritten((tls) => replaced(tls, 3, 9)),
  },
  {
    says: 'a handshake message is not a PublicMessage (RFC 9420 §6)',
    of: 'an encrypted commit',
    make: wireFormat(({ crypto, group }) => ({
      wireformat: 'mls_private_message',
      privateMessage: {
        groupId: group.context.groupId,
        epoch: 1n,
        contentType: 'commit',
        authenticatedData: utf8(''),
        encryptedSenderData: crypto.random(32),
        ciphertext: crypto.random(500),
      },
    })),
  },
  {
    says: 'application data is not encrypted (RFC 9420 §6)',
    of: 'application data in a PublicMessage',
    make: wireFormat(({ group, update }) => {
      const { content } = publicMessageOf(parseHandshake(update.tls));
      const { groupId } = group.context;
      const { epoch, sender, authenticatedData } = content;
      const data = { contentType: 'application', applicationData: utf8('hi') } as const;
      return {
        wireformat: 'mls_public_message',
        publicMessage: {
          content: { groupId, epoch, sender, authenticatedData, ...data },
          auth: { contentType: 'application', signature: new Uint8Array(64) },
          senderType: 'member',
          membershipTag: new Uint8Array(32),
        },
      };
    }),
  },
  {
    says: 'cannot be its sender type (RFC 9420 §6)',
    of: 'a commit from an unknown type of sender',
    make: rewritten((tls) => replaced(tls, SENDER_AT, 5)),
  },
  {
    says: 'cannot be its content type (RFC 9420 §6)',
    of: 'content of an unknown type',
    make: rewritten((tls) => replaced(tls, CONTENT_TYPE_AT, 4)),
  },
  {
    says: 'handshake message has bytes behind it (RFC 9420 §2.1)',
    of: 'a commit with padding behind it',
    make: rewritten((tls) => concat(tls, new Uint8Array(7))),
  },
  {
    says: 'handshake message does not decode: it ends too early',
    of: 'a commit without its last byte',
    make: rewritten((tls) => tls.subarray(0, -1)),
  },
  {
    says: 'handshake message is not canonical: a length (RFC 9420 §2.1.2)',
    of: 'a commit with a length of two bytes where one would do',
    make: rewritten((tls) => replaced(tls, 4, 0x40, 5)),
  },
  {
    says: 'handshake message is not canonical: a length (RFC 9420 §2.1.2)',
    of: 'a commit with a length of eight bytes',
    make: rewritten((tls) => replaced(tls, 4, 0xc0, 0, 0, 0, 0, 0, 0, 5)),
  },
  {
    says: 'handshake message does not decode: it ends too early',
    of: 'a commit with a length of a gigabyte',
    make: rewritten((tls) => replaced(tls, 4, 0xbf, 0xff, 0xff, 0xff)),
  },
  {
    says: 'the message is for another group (RFC 9420 §6)',
    of: 'a commit for another group',
    make: by({ groupId: utf8('other') }),
  },
  {
    says: 'the message is for another epoch (RFC 9420 §12.4.2)',
    of: 'a commit for the last epoch',
    reason: 'EPOCH_TOO_OLD',
    make: by({ epoch: 0n }),
  },
  {
    says: 'the message is for another epoch (RFC 9420 §12.4.2)',
    of: 'a commit for the last epoch there can be',
    reason: 'EPOCH_UNKNOWN',
    make: by({ epoch: (1n << 64n) - 1n }),
  },
  {
    says: 'the sender is not a member (RFC 9420 §6)',
    of: 'a commit by a blank leaf',
    make: by({ sender: memberAt(3) }),
  },
  {
    says: 'the sender is not a member (RFC 9420 §6)',
    of: 'a commit by a leaf beyond the tree',
    make: by({ sender: memberAt(0xffff_ffff) }),
  },
  {
    says: 'only members commit (RFC 9420 §6)',
    of: 'a commit by an external sender',
    make: by({ sender: HUB }),
  },
  {
    says: 'the sender is not among the external senders (RFC 9420 §12.1.8)',
    of: 'a proposal by an external sender that there is not',
    make: (scene) =>
      proposing(scene, scene.hub, { ...HUB, senderIndex: 1 }, { proposal: removeOf(1) }),
  },
  {
    says: 'nobody proposes itself as a member here (RFC 9420 §12.1.8)',
    of: 'an Add of oneself, which is not admitted unless asked for',
    make: (scene) => newcomer(scene, addOf(scene.outsider), false),
  },
  {
    says: 'nobody proposes itself as a member here (RFC 9420 §12.1.8)',
    of: 'a commit by who proposes itself',
    make: by({ sender: NEWCOMER }),
  },
  {
    says: 'who is no member yet proposes its own Add only (RFC 9420 §12.1.8)',
    of: 'a Remove by who is no member, where Adds are admitted',
    make: (scene) => newcomer(scene, removeOf(1), true),
  },
  {
    says: 'a proposal does not come from an external commit (RFC 9420 §6)',
    of: 'a proposal by who enters with a commit',
    make: (scene) => {
      const sender = { senderType: 'new_member_commit' } as const;
      return proposing(scene, scene.outsider, sender, { proposal: removeOf(1) });
    },
  },
  {
    says: 'only a member sends an Update (RFC 9420 §12.1.8)',
    of: 'an Update by an external sender',
    reason: 'INVALID_PROPOSAL',
    make: async (scene) => {
      const proposal = await updateBy(scene.group, scene.b, 1);
      return proposing(scene, scene.hub, HUB, { proposal });
    },
  },
  {
    says: 'only an external commit has an ExternalInit (RFC 9420 §12.1.6)',
    of: 'an ExternalInit by an external sender',
    reason: 'INVALID_PROPOSAL',
    make: (scene) => {
      const externalInit = { kemOutput: new Uint8Array(32) };
      const proposal: Proposal = { proposalType: 'external_init', externalInit };
      return proposing(scene, scene.hub, HUB, { proposal });
    },
  },
  {
    says: 'the signature of the message does not hold (RFC 9420 §6.1)',
    of: 'a commit in the name of another member',
    make: by({ sender: memberAt(1) }),
  },
  {
    says: 'the signature of the message does not hold (RFC 9420 §6.1)',
    of: 'a proposal by a member in the name of the hub',
    make: (scene) => proposing(scene, scene.b, HUB, { proposal: removeOf(1) }),
  },
  {
    says: 'the signature of the message does not hold (RFC 9420 §6.1)',
    of: 'a commit that is signed for another GroupContext',
    make: async ({ a, group, update }) => {
      const context = { ...group.context, treeHash: new Uint8Array(32) };
      return staging(group, await forgeCommit(a, { ...group, context }, update, {}));
    },
  },
  {
    says: 'the signature of the message does not hold (RFC 9420 §6.1)',
    of: 'an external commit that is not signed by the leaf of its path',
    make: async ({ a, group, external }) =>
      staging(group, await forgeCommit(a, group, external, {})),
  },
  {
    says: 'the confirmation tag has the wrong length (RFC 9420 §6.1)',
    of: 'a commit with an empty confirmation tag',
    make: (scene) => tagged(scene, { confirmationTag: new Uint8Array(0) }),
  },
  {
    says: 'the membership tag has the wrong length (RFC 9420 §6.2)',
    of: 'a commit with a long membership tag',
    make: (scene) => tagged(scene, { membershipTag: new Uint8Array(33) }),
  },
];

function newcomer(
  scene: TestScene,
  proposal: Proposal,
  admitNewMemberProposals: boolean,
): Promise<Attempt> {
  const rules = { admitNewMemberProposals };
  return proposing(scene, scene.outsider, NEWCOMER, { proposal, rules });
}

/** The update of a with other tags, which no signature covers. */
function tagged(
  { group, a, update }: TestScene,
  tags: { readonly confirmationTag?: Uint8Array; readonly membershipTag?: Uint8Array },
): Attempt {
  const { content, auth } = publicMessageOf(parseHandshake(update.tls));
  if (auth.contentType !== 'commit') throw new Error('it is a commit');
  const { confirmationTag = auth.confirmationTag, membershipTag = new Uint8Array(32) } = tags;
  const tls = encodeMlsMessage({
    version: stateOf(a).groupContext.version,
    wireformat: 'mls_public_message',
    publicMessage: {
      content,
      auth: { ...auth, confirmationTag },
      senderType: 'member',
      membershipTag,
    },
  });
  const made: MadeCommit = { ...update, tls };
  return staging(group, made);
}
