import { Failure, malformed } from '@roost/core/failure';
import { GroupId, scopedWire } from '@roost/core/ids';
import { roomOf } from '@roost/mls/public-group';
import { roleCan, roleOf } from '@roost/mls/room';
import type { Executor } from '@roost/postgres/executor';
import type {
  FindRoomsRequest,
  FindRoomsResponse,
  PublishRoomRequest,
  PublishRoomResponse,
  UnpublishRoomRequest,
  UnpublishRoomResponse,
} from '@roost/proto/roost/delivery/v1/delivery';
import { change, earOf } from '../desk.ts';
import type { Desk } from '../desk.ts';
import { isFirst } from '../once.ts';
import type { Signed } from '../once.ts';
import { assertHeard } from '../standing.ts';
import { deletePublicRoom, putPublicRoom, searchPublicRooms } from '../store/directory.ts';
import type { MemberView } from '../vault.ts';

export async function publishRoom(
  desk: Desk,
  request: PublishRoomRequest,
  signed: Signed,
): Promise<PublishRoomResponse> {
  const ear = earOf(desk, request);
  const name = parseName(request.name);
  const linkWrapperKey = keyOf(request.linkWrapperKey, 'link_wrapper_key');
  const participantKey = keyOf(request.participantKey, 'participant_key');
  return await change(desk, ear, async (tx) => {
    const view = await desk.vault.lockAsMember(tx, ear, signed.key);
    if (!(await isFirst(desk, tx, view, signed))) return { response: {} };
    await assertMayPublish(desk, tx, view);
    const room = { id: view.row.id, name, earKey: request.earKey, linkWrapperKey, participantKey };
    const { publicRoomsMax } = desk.config.limits;
    if (!(await putPublicRoom(tx, room, publicRoomsMax))) {
      throw new Failure('LIMIT_REACHED', `the directory holds at most ${publicRoomsMax} rooms`);
    }
    return { response: {} };
  });
}

export async function unpublishRoom(
  desk: Desk,
  request: UnpublishRoomRequest,
  signed: Signed,
): Promise<UnpublishRoomResponse> {
  const ear = earOf(desk, request);
  return await change(desk, ear, async (tx) => {
    const view = await desk.vault.lockAsMember(tx, ear, signed.key);
    if (!(await isFirst(desk, tx, view, signed))) return { response: {} };
    await assertMayPublish(desk, tx, view);
    await deletePublicRoom(tx, view.row.id);
    return { response: {} };
  });
}

export async function findRooms(
  desk: Desk,
  { text, after }: FindRoomsRequest,
): Promise<FindRoomsResponse> {
  if (lengthOf(text) > NAME_LENGTH_MAX) {
    throw malformed('text', `is longer than ${NAME_LENGTH_MAX} characters`);
  }
  const last = after === undefined ? undefined : GroupId.parse(after, 'after').uuid;
  const found = await searchPublicRooms(desk.database, text, last, ROOMS_MAX + 1);
  const rooms = found.slice(0, ROOMS_MAX).map(({ id, ...room }) => ({
    groupId: scopedWire(GroupId.of(id, desk.config.domain)),
    ...room,
  }));
  return { rooms, hasMore: found.length > ROOMS_MAX };
}

/** Only of a room that everybody may see, by whom its policy lets name it. */
async function assertMayPublish(desk: Desk, tx: Executor, view: MemberView): Promise<void> {
  assertHeard(view);
  const room = roomOf(await desk.vault.state(tx, view.ear, view.row));
  if (room.kind !== 'public') {
    throw new Failure('NOT_ALLOWED', 'only a public room is in the directory');
  }
  if (roleCan(room, roleOf(room, view.member.participant), 'canChangeRoomName')) return;
  throw new Failure('NOT_ALLOWED', 'your role in this room does not let you name it');
}

function parseName(text: string): string {
  const name = text.normalize('NFC').trim();
  if (name === '' || lengthOf(name) > NAME_LENGTH_MAX || /\p{Cc}|\p{Cf}|\p{Cs}/u.test(name)) {
    throw malformed('name', `is not 1 to ${NAME_LENGTH_MAX} readable characters`);
  }
  return name;
}

/** In characters, as PostgreSQL counts them. */
function lengthOf(text: string): number {
  return Array.from(text).length;
}

function keyOf(key: Uint8Array, field: string): Uint8Array {
  if (key.length === KEY_BYTES) return key;
  throw malformed(field, `is not ${KEY_BYTES} bytes long`);
}

const NAME_LENGTH_MAX = 64;
const ROOMS_MAX = 50;
const KEY_BYTES = 32;
