import { compare, concat } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { invalid } from './message.ts';
import type { HandshakeMessage } from './message.ts';
import type { Actor } from './proposals.ts';
import type { PublicGroup } from './public-group.ts';
import { externalSenders } from './validation.ts';

/** §6, §12.4.2: the message is for this group and this epoch. */
export function checkAddress(group: PublicGroup, message: HandshakeMessage): void {
  if (compare(message.groupId, group.context.groupId) !== 0) {
    throw invalid('the message is for another group (RFC 9420 §6)');
  }
  const currentEpoch = group.context.epoch;
  if (message.epoch === currentEpoch) return;
  const reason = message.epoch < currentEpoch ? 'EPOCH_TOO_OLD' : 'EPOCH_UNKNOWN';
  throw new Failure(reason, 'the message is for another epoch (RFC 9420 §12.4.2)', {
    currentEpoch,
  });
}

/** §6: a sender that exists. Whoever is not yet a member may be let propose its own Add. */
export function senderOf(
  group: PublicGroup,
  message: HandshakeMessage,
  admitNewMemberProposals: boolean,
): Exclude<Actor, { readonly kind: 'joiner' }> {
  const { sender } = message;
  switch (sender.senderType) {
    case 'member':
      if (group.tree.leafAt(sender.leafIndex) === undefined) {
        throw invalid('the sender is not a member (RFC 9420 §6)');
      }
      return { kind: 'member', leafIndex: sender.leafIndex };
    case 'external':
      if (externalSenders(group.context.extensions)[sender.senderIndex] === undefined) {
        throw invalid('the sender is not among the external senders (RFC 9420 §12.1.8)');
      }
      return { kind: 'external', senderIndex: sender.senderIndex };
    case 'new_member_proposal':
      if (!admitNewMemberProposals) {
        throw invalid('nobody proposes itself as a member here (RFC 9420 §12.1.8)');
      }
      if (message.kind === 'proposal' && 'add' in message.proposal) return { kind: 'newcomer' };
      throw invalid('who is no member yet proposes its own Add only (RFC 9420 §12.1.8)');
    case 'new_member_commit':
      throw invalid('a proposal does not come from an external commit (RFC 9420 §6)');
  }
}

/** §6.1, §6.2: the signature, and that the tags which only members can check have their length. */
export function checkAuthentication(group: PublicGroup, message: HandshakeMessage): void {
  const { sender, signedPart, signature } = message;
  const { suite } = group;
  const isInside = sender.senderType === 'member' || sender.senderType === 'new_member_commit';
  const content = isInside ? concat(signedPart, group.contextTls) : signedPart;
  const publicKey = signatureKeyOf(group, message);
  const label = 'FramedContentTBS';
  if (publicKey === undefined || !suite.verify({ publicKey, label, content, signature })) {
    throw invalid('the signature of the message does not hold (RFC 9420 §6.1)');
  }
  if (message.kind === 'commit' && message.confirmationTag.length !== suite.hashBytes) {
    throw invalid('the confirmation tag has the wrong length (RFC 9420 §6.1)');
  }
  if (message.membershipTag !== undefined && message.membershipTag.length !== suite.hashBytes) {
    throw invalid('the membership tag has the wrong length (RFC 9420 §6.2)');
  }
}

/** §6.1: whose key the signature is by. Who is not yet a member brings its own. */
function signatureKeyOf(group: PublicGroup, message: HandshakeMessage): Uint8Array | undefined {
  const { sender } = message;
  switch (sender.senderType) {
    case 'member':
      return group.tree.leafAt(sender.leafIndex)?.signatureKey;
    case 'external':
      return externalSenders(group.context.extensions)[sender.senderIndex]?.signaturePublicKey;
    case 'new_member_proposal':
      if (message.kind !== 'proposal' || !('add' in message.proposal)) return undefined;
      return message.proposal.add.keyPackage.leafNode.signaturePublicKey;
    case 'new_member_commit':
      if (message.kind !== 'commit') return undefined;
      return message.commit.path?.leafNode.signaturePublicKey;
  }
}
