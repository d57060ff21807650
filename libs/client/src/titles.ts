import { fromUtf8, utf8 } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { type GroupId, writeScoped } from '@roost/core/ids';
import { encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { openSealed, padTo, sealRandom, unpad } from '@roost/crypto/sealed';
import { EXTENSION, extensionOf } from '@roost/mls/extensions';
import { decodeRoomState, encodeRoomState, type RoomState } from '@roost/mls/room';
import type { Extension } from 'ts-mls/extension.js';
import type { ClientState } from './mls.ts';
import type { GroupKeys } from './state.ts';

const TITLE_BYTES_MAX = 240;
const TITLE_PADDING = 128;
const TITLE_LABEL = utf8('Roost 1.0 Title');

/** The room state of a group, which every group has. */
export function roomOf(state: ClientState): RoomState {
  const tls = extensionOf(state.groupContext.extensions, EXTENSION.roomState);
  if (tls === undefined) throw new Failure('INVALID_MLS', 'the group has no room state');
  return decodeRoomState(tls);
}

/** The GroupContext extensions of a group with this room state. */
export function withRoom(extensions: readonly Extension[], room: RoomState): Extension[] {
  const others = extensions.filter(({ extensionType }) => extensionType !== EXTENSION.roomState);
  const roomState = { extensionType: EXTENSION.roomState, extensionData: encodeRoomState(room) };
  return [...others, roomState];
}

export function sealTitle(
  crypto: Crypto,
  keys: GroupKeys,
  group: GroupId,
  title: string,
): Uint8Array {
  const bytes = utf8(title);
  if (bytes.length > TITLE_BYTES_MAX) {
    throw new Failure('TOO_LARGE', `a title has at most ${TITLE_BYTES_MAX} bytes`);
  }
  return sealRandom(crypto, titleKey(crypto, keys), aadOf(group), padTo(bytes, TITLE_PADDING));
}

/** The title; empty where there is none, or none that a member sealed. */
export function openTitle(
  crypto: Crypto,
  keys: GroupKeys,
  group: GroupId,
  { sealedTitle }: RoomState,
): string {
  if (sealedTitle.length === 0) return '';
  const padded = openSealed(crypto, titleKey(crypto, keys), aadOf(group), sealedTitle);
  try {
    return padded === undefined ? '' : fromUtf8(unpad(padded));
  } catch {
    return '';
  }
}

function titleKey(crypto: Crypto, { linkWrapperKey }: GroupKeys): Uint8Array {
  return crypto.hmacSha256(linkWrapperKey, TITLE_LABEL);
}

function aadOf(group: GroupId): Uint8Array {
  return encode((writer) => writeScoped(writer, group));
}
