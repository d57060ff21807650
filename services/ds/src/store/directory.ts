import type { Uuid } from '@roost/core/ids';
import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';

/** A room that is open to everybody, with the keys that it takes. */
export interface PublicRoom {
  readonly id: Uuid;
  readonly name: string;
  readonly earKey: Uint8Array;
  readonly linkWrapperKey: Uint8Array;
  readonly participantKey: Uint8Array;
}

/** As names are compared: neither case nor ways to write a letter tell them apart. */
export function fold(text: string): string {
  return text.normalize('NFKC').toLowerCase();
}

/** False where the directory is full; a room that is in it already has its place. */
export async function putPublicRoom(
  tx: Executor,
  { id, name, earKey, linkWrapperKey, participantKey }: PublicRoom,
  roomsMax: number,
): Promise<boolean> {
  const folded = fold(name);
  const put = await upsert(tx, id, name, folded, earKey, linkWrapperKey, participantKey, roomsMax);
  return put.length === 1;
}

export const deletePublicRoom = statement<[id: Uuid], never>(
  'ds_delete_public_room',
  'DELETE FROM public_rooms WHERE group_id = $1',
);

/** Rooms whose names contain a text, after one of them in the order of ids. */
export async function searchPublicRooms(
  on: Executor,
  text: string,
  after: Uuid | undefined,
  rowsMax: number,
): Promise<readonly PublicRoom[]> {
  return await search(on, fold(text), after ?? null, rowsMax);
}

const upsert = statement<
  [
    id: Uuid,
    name: string,
    folded: string,
    earKey: Uint8Array,
    linkWrapperKey: Uint8Array,
    participantKey: Uint8Array,
    roomsMax: number,
  ],
  { id: Uuid }
>(
  'ds_put_public_room',
  `INSERT INTO public_rooms (group_id, name, folded, ear_key, link_wrapper_key, participant_key)
   SELECT $1::uuid, $2::text, $3::text, $4::bytea, $5::bytea, $6::bytea
    WHERE EXISTS (SELECT FROM public_rooms WHERE group_id = $1)
       OR (SELECT count(*) FROM public_rooms) < $7
   ON CONFLICT (group_id) DO UPDATE
      SET name = excluded.name, folded = excluded.folded, ear_key = excluded.ear_key,
          link_wrapper_key = excluded.link_wrapper_key, participant_key = excluded.participant_key
   RETURNING group_id AS id`,
);

const search = statement<[folded: string, after: Uuid | null, rowsMax: number], PublicRoom>(
  'ds_search_public_rooms',
  `SELECT group_id AS id, name, ear_key AS "earKey", link_wrapper_key AS "linkWrapperKey",
          participant_key AS "participantKey"
     FROM public_rooms
    WHERE strpos(folded, $1) > 0 AND ($2::uuid IS NULL OR group_id > $2)
    ORDER BY group_id
    LIMIT $3`,
);
