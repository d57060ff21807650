import { concat } from '@roost/core/bytes';
import { encode, Reader } from '@roost/core/tls';
import { holds, same, sameValue, vectorBytes, vectorKind } from '@roost/core/vectors';
import { decodeAuthenticatedContent } from 'ts-mls/authenticatedContent.js';
import { decodeCommit, encodeCommit } from 'ts-mls/commit.js';
import { framedContentEncoder, verifyConfirmationTag } from 'ts-mls/framedContent.js';
import { decodeGroupSecrets, encodeGroupSecrets } from 'ts-mls/groupSecrets.js';
import { decodeMlsMessage, encodeMlsMessage } from 'ts-mls/message.js';
import {
  decodeAdd,
  decodeExternalInit,
  decodeGroupContextExtensions,
  decodePSK,
  decodeReinit,
  decodeRemove,
  decodeUpdate,
  encodeAdd,
  encodeExternalInit,
  encodeGroupContextExtensions,
  encodePSK,
  encodeReinit,
  encodeRemove,
  encodeUpdate,
} from 'ts-mls/proposal.js';
import { decodeRatchetTree, encodeRatchetTree } from 'ts-mls/ratchetTree.js';
import {
  decodeStrict,
  parseApplication,
  parseGroupInfo,
  parseHandshake,
  parseKeyPackage,
  parseWelcome,
} from '../src/message.ts';
import { interimHash } from '../src/public-group.ts';
import { memberSuite, publicSuite } from './suites.ts';

/** What is read and hashed of messages: our own parsers, wherever a server has one. */

interface Deserialization {
  readonly vlbytes_header: string;
  readonly length: number;
}

export const deserialization = vectorKind<Deserialization>(
  'deserialization',
  ['vlbytes_header', 'length'],
  ({ vlbytes_header: header, length }) => {
    const bytes = vectorBytes(header);
    // A reader says how long the vector is by what it refuses: nothing of it has to be there.
    const read = (bytesMax: number) => {
      try {
        return new Reader(bytes, 'vlbytes').opaque(bytesMax).length;
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    };
    const whole = length === 0 ? 0 : 'vlbytes: it ends too early';
    sameValue('what a vector of that length says', read(length), whole);
    if (length === 0) return;
    const tooLong = `vlbytes: a field is longer than ${length - 1} bytes`;
    sameValue('what a limit just below says', read(length - 1), tooLong);
  },
);

interface Transcript {
  readonly cipher_suite: number;
  readonly confirmation_key: string;
  readonly authenticated_content: string;
  readonly interim_transcript_hash_before: string;
  readonly confirmed_transcript_hash_after: string;
  readonly interim_transcript_hash_after: string;
}

export const transcriptHashes = vectorKind<Transcript>(
  'transcript-hashes',
  ['authenticated_content', 'confirmation_key', 'interim_transcript_hash_before'],
  async (vector) => {
    const suite = publicSuite(vector.cipher_suite);
    const tls = vectorBytes(vector.authenticated_content);
    const decoded = decodeAuthenticatedContent(tls, 0)?.[0];
    if (decoded?.auth.contentType !== 'commit') throw new Error('the content is not a commit');
    const { signature, confirmationTag } = decoded.auth;
    const content = tls.subarray(0, 2 + framedContentEncoder(decoded.content)[0]);
    const signed = encode((writer) => writer.opaque(signature));

    const before = vectorBytes(vector.interim_transcript_hash_before);
    const confirmed = suite.hash(concat(before, content, signed));

    same('the confirmed hash', confirmed, vector.confirmed_transcript_hash_after);
    const interim = interimHash(suite, confirmed, confirmationTag);
    same('the interim hash', interim, vector.interim_transcript_hash_after);
    const { hash } = await memberSuite(vector.cipher_suite);
    const key = vectorBytes(vector.confirmation_key);
    const isConfirmed = await verifyConfirmationTag(key, confirmationTag, confirmed, hash);
    holds('the confirmation tag', isConfirmed);
  },
);

type Messages = Readonly<Record<keyof typeof PARTS | keyof typeof MESSAGES, string>>;

type Again = (tls: Uint8Array) => Uint8Array;

/** Decodes and encodes, and refuses what has other bytes then. */
function strictly<T>(
  what: string,
  decode: (bytes: Uint8Array, offset: number) => [T, number] | undefined,
  encodeAgain: (value: T) => Uint8Array,
): Again {
  return (tls) => encodeAgain(decodeStrict(tls, what, decode, encodeAgain));
}

/** The parts of messages, which no server meets alone: the decoders of ts-mls, held strictly. */
const PARTS = {
  ratchet_tree: strictly('ratchet_tree', decodeRatchetTree, encodeRatchetTree),
  group_secrets: strictly('GroupSecrets', decodeGroupSecrets, encodeGroupSecrets),
  add_proposal: strictly('Add', decodeAdd, encodeAdd),
  update_proposal: strictly('Update', decodeUpdate, encodeUpdate),
  remove_proposal: strictly('Remove', decodeRemove, encodeRemove),
  pre_shared_key_proposal: strictly('PreSharedKey', decodePSK, encodePSK),
  re_init_proposal: strictly('ReInit', decodeReinit, encodeReinit),
  external_init_proposal: strictly('ExternalInit', decodeExternalInit, encodeExternalInit),
  group_context_extensions_proposal: strictly(
    'GroupContextExtensions',
    decodeGroupContextExtensions,
    encodeGroupContextExtensions,
  ),
  commit: strictly('Commit', decodeCommit, encodeCommit),
} as const;

/** Whole messages: what our parser makes of them, besides that they keep their bytes. */
const MESSAGES = {
  mls_welcome: (tls: Uint8Array) => parseWelcome(tls).cipherSuite,
  mls_group_info: (tls: Uint8Array) => parseGroupInfo(tls).signature,
  mls_key_package: (tls: Uint8Array) => parseKeyPackage(tls).initKey,
  public_message_application: (tls: Uint8Array) =>
    sameValue(
      'what a server says',
      refusal(() => parseHandshake(tls)),
      NOT_ENCRYPTED,
    ),
  public_message_proposal: (tls: Uint8Array) =>
    sameValue('the kind', parseHandshake(tls).kind, 'proposal'),
  public_message_commit: (tls: Uint8Array) =>
    sameValue('the kind', parseHandshake(tls).kind, 'commit'),
  private_message(tls: Uint8Array) {
    const { message } = { message: decodeMlsMessage(tls, 0)?.[0] };
    if (message?.wireformat !== 'mls_private_message') throw new Error('not a PrivateMessage');
    if (message.privateMessage.contentType === 'application') parseApplication(tls);
    else holds('the refusal', refusal(() => parseApplication(tls)) !== undefined);
  },
} as const;

const NOT_ENCRYPTED = 'application data is not encrypted (RFC 9420 §6)';

export const messages = vectorKind<Messages>(
  'messages',
  ['mls_welcome', 'add_proposal', 'public_message_commit'],
  (vector) => {
    for (const [field, again] of Object.entries(PARTS)) {
      const hex = vector[field as keyof typeof PARTS];
      same(field, again(vectorBytes(hex)), hex);
    }
    for (const [field, parse] of Object.entries(MESSAGES)) {
      const hex = vector[field as keyof typeof MESSAGES];
      const tls = vectorBytes(hex);
      parse(tls);
      same(field, strictly(field, decodeMlsMessage, encodeMlsMessage)(tls), hex);
    }
  },
);

function refusal(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
