import { equal, utf8 } from '@roost/core/bytes';
import { encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { encodeExternalSender, type ExternalSender } from 'ts-mls/externalSender.js';
import type { Extension } from 'ts-mls/extension.js';
import { framedContentEncoder } from 'ts-mls/framedContent.js';
import { encodeMlsMessage } from 'ts-mls/message.js';
import type { Proposal } from 'ts-mls/proposal.js';
import { EXTENSION, extensionOf } from './extensions.ts';

/** The hub proposes from outside as the only external sender of its groups (RFC 9420 §12.1.8.1). */
export function externalSenderOf(publicKey: Uint8Array, domain: string): Uint8Array {
  const sender: ExternalSender = {
    signaturePublicKey: publicKey,
    credential: { credentialType: 'basic', identity: utf8(domain) },
  };
  return encodeExternalSender(sender);
}

/** The GroupContext extension that names one external sender, given as its hub encoded it. */
export function externalSendersExtension(externalSender: Uint8Array): Extension {
  // By its name: ts-mls finds it by that among the extensions of a founder's state.
  return {
    extensionType: 'external_senders',
    extensionData: encode((writer) => writer.opaque(externalSender)),
  };
}

/** Whether a group lets exactly this sender propose from outside. */
export function hasOnlySender(
  extensions: readonly Extension[],
  externalSender: Uint8Array,
): boolean {
  const contents = extensionOf(extensions, EXTENSION.externalSenders);
  const { extensionData } = externalSendersExtension(externalSender);
  return contents !== undefined && equal(contents, extensionData);
}

/** A proposal of the hub for an epoch, as a PublicMessage (RFC 9420 §12.1.8). */
export function makeHubProposal(
  { ed25519 }: Crypto,
  seed: Uint8Array,
  { groupId, epoch }: { readonly groupId: Uint8Array; readonly epoch: bigint },
  proposal: Proposal,
): Uint8Array {
  const content = {
    groupId,
    epoch,
    sender: { senderType: 'external' as const, senderIndex: 0 },
    authenticatedData: NOTHING,
    contentType: 'proposal' as const,
    proposal,
  };
  // FramedContentTBS of a sender outside ends without the GroupContext (§6.1).
  const [size, write] = framedContentEncoder(content);
  const framed = new ArrayBuffer(size);
  write(0, framed);
  const signed = encode((writer) => {
    const tbs = encode((inner) =>
      inner.u16(MLS_10).u16(PUBLIC_MESSAGE).fixed(new Uint8Array(framed)),
    );
    writer.text('MLS 1.0 FramedContentTBS').opaque(tbs);
  });
  const signature = ed25519.sign(seed, signed);
  return encodeMlsMessage({
    version: 'mls10',
    wireformat: 'mls_public_message',
    publicMessage: {
      content,
      auth: { contentType: 'proposal', signature },
      senderType: 'external',
    },
  });
}

const NOTHING = new Uint8Array(0);
const MLS_10 = 1;
const PUBLIC_MESSAGE = 1;
