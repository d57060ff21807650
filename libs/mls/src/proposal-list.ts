import { toHex } from '@roost/core/bytes';
import { encodePskId } from 'ts-mls/presharedkey.js';
import type { PreSharedKeyID } from 'ts-mls/presharedkey.js';
import type { Proposal } from 'ts-mls/proposal.js';
import { invalidProposal, touchedLeaf } from './proposals.ts';
import type { ResolvedProposal } from './proposals.ts';

/** §12.2: the list of proposals in a member's commit. */
export function checkMemberList(proposals: readonly ResolvedProposal[], committer: number): void {
  checkReferences(proposals);
  const touched = new Set<number>();
  const pskIds = new Set<string>();
  let contextChanges = 0;
  for (const { proposal, actor } of proposals) {
    if (proposal.proposalType === 'update' || proposal.proposalType === 'remove') {
      const leafIndex = touchedLeaf(proposal, actor);
      if (leafIndex === committer) {
        throw invalidProposal('a commit updates or removes its own sender (RFC 9420 §12.2)');
      }
      if (touched.has(leafIndex)) {
        throw invalidProposal('a commit updates or removes a leaf twice (RFC 9420 §12.2)');
      }
      touched.add(leafIndex);
    }
    if (proposal.proposalType === 'psk') addPskId(pskIds, proposal.psk.preSharedKeyId);
    if (proposal.proposalType === 'group_context_extensions') contextChanges++;
    if (proposal.proposalType === 'reinit' && proposals.length > 1) {
      throw invalidProposal('a ReInit stands beside other proposals (RFC 9420 §12.2)');
    }
    if (proposal.proposalType === 'external_init') {
      throw invalidProposal('a member commits an ExternalInit (RFC 9420 §12.2)');
    }
  }
  if (contextChanges > 1) {
    throw invalidProposal('a commit changes the GroupContext twice (RFC 9420 §12.2)');
  }
}

/** §12.2, §12.4.3.2: the list of proposals in an external commit. */
export function checkExternalList(proposals: readonly ResolvedProposal[]): void {
  const count = (type: Proposal['proposalType']) =>
    proposals.filter(({ proposal }) => proposal.proposalType === type).length;
  if (proposals.some(({ ref }) => ref !== undefined)) {
    throw invalidProposal('an external commit refers to a proposal (RFC 9420 §12.4.3.2)');
  }
  if (count('external_init') !== 1) {
    throw invalidProposal(
      'an external commit has not exactly one ExternalInit (RFC 9420 §12.4.3.2)',
    );
  }
  if (count('remove') > 1) {
    throw invalidProposal('an external commit removes more than one member (RFC 9420 §12.4.3.2)');
  }
  if (count('external_init') + count('remove') + count('psk') !== proposals.length) {
    throw invalidProposal('an external commit has a proposal of another type (RFC 9420 §12.4.3.2)');
  }
  const pskIds = new Set<string>();
  for (const { proposal } of proposals) {
    if (proposal.proposalType === 'psk') addPskId(pskIds, proposal.psk.preSharedKeyId);
  }
}

/** §12.4: whether a commit of these proposals must renew the path. */
export function needsPath(proposals: readonly ResolvedProposal[]): boolean {
  const types = new Set(proposals.map(({ proposal }) => proposal.proposalType));
  return (
    types.size === 0 ||
    types.has('update') ||
    types.has('remove') ||
    types.has('external_init') ||
    types.has('group_context_extensions')
  );
}

/** §12.4: who refers to a proposal twice means it once, or nothing that has a meaning. */
function checkReferences(proposals: readonly ResolvedProposal[]): void {
  const refs = proposals.flatMap(({ ref }) => (ref === undefined ? [] : [toHex(ref)]));
  if (new Set(refs).size < refs.length) {
    throw invalidProposal('a commit refers to a proposal twice (RFC 9420 §12.4)');
  }
}

function addPskId(ids: Set<string>, id: PreSharedKeyID): void {
  const text = toHex(encodePskId(id));
  if (ids.has(text)) throw invalidProposal('a commit has the same PSK twice (RFC 9420 §12.2)');
  ids.add(text);
}
