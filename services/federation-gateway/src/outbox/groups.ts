import { HANDLE_BYTES } from '@roost/bus/frames';
import { concat, toHex, utf8 } from '@roost/core/bytes';
import { type Domain, GroupId, type Uuid, writeScoped } from '@roost/core/ids';
import type { Clock } from '@roost/core/time';
import { encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { hkdfExpand } from '@roost/crypto/hkdf';
import { openSealed, sealRandom } from '@roost/crypto/sealed';

import type { GoneRow } from './store/gone.ts';

export interface GroupsPorts {
  readonly home: Domain;
  readonly crypto: Crypto;
  readonly clock: Clock;
  /** The secret of this service. */
  readonly secretKey: Uint8Array;
  readonly transportKey: Uint8Array;
}

/** What our groups and the handles in them are called in our tables. */
export class Groups {
  readonly #ports: GroupsPorts;
  readonly #markKey: Uint8Array;
  readonly #handleKey: Uint8Array;

  constructor(ports: GroupsPorts) {
    const { crypto, secretKey } = ports;
    const derive = (purpose: string) =>
      hkdfExpand(crypto, secretKey, utf8(`Roost 1.0 Federation ${purpose}`), 32);
    this.#ports = ports;
    this.#markKey = derive('mark');
    this.#handleKey = derive('handle');
  }

  tagOf(destination: Domain, id: Uuid): Uint8Array {
    const { crypto, home } = this.#ports;
    return crypto.hmacSha256(
      this.#markKey,
      encode((writer) => writeScoped(writer.text(destination), GroupId.of(id, home))),
    );
  }

  /** What is found by the tags of groups, by group. */
  async byGroup<Row extends { readonly tag: Uint8Array }>(
    destination: Domain,
    ids: readonly Uuid[],
    find: (tags: readonly Uint8Array[]) => Promise<readonly Row[]>,
  ): Promise<ReadonlyMap<Uuid, Row>> {
    const found = await this.#found(destination, ids, find);
    return new Map(found.map(({ id, row }) => [id, row]));
  }

  /** The handles that are gone, of what is found by the tags of groups. */
  async goneOf(
    destination: Domain,
    ids: readonly Uuid[],
    find: (tags: readonly Uint8Array[]) => Promise<readonly Pick<GoneRow, 'tag' | 'sealed'>[]>,
  ): Promise<readonly { readonly id: Uuid; readonly handle: Uint8Array }[]> {
    const found = await this.#found(destination, ids, find);
    return found.flatMap(({ id, row }) => {
      const handle = this.#openGone(row);
      return handle === undefined ? [] : [{ id, handle }];
    });
  }

  /** Rows for handles that are gone, and the time. */
  goneRows(
    destination: Domain,
    those: readonly {
      readonly sent: { readonly id: Uuid };
      readonly gone: readonly Uint8Array[];
    }[],
  ): [rows: GoneRow[], nowMs: number] {
    const { clock, crypto, transportKey } = this.#ports;
    const rows = those.flatMap(({ sent: { id }, gone }) => {
      const tag = this.tagOf(destination, id);
      return gone.map((handle) => ({
        tag,
        digest: crypto.hmacSha256(this.#handleKey, handle),
        sealed: sealRandom(crypto, transportKey, concat(GONE_LABEL, tag), handle),
      }));
    });
    return [rows, clock.now()];
  }

  async #found<Row extends { readonly tag: Uint8Array }>(
    destination: Domain,
    ids: readonly Uuid[],
    find: (tags: readonly Uint8Array[]) => Promise<readonly Row[]>,
  ): Promise<readonly { readonly id: Uuid; readonly row: Row }[]> {
    const tags = new Map(ids.map((id) => [id, this.tagOf(destination, id)]));
    const names = new Map([...tags].map(([id, tag]) => [toHex(tag), id]));
    const rows = await find([...tags.values()]);
    return rows.flatMap((row) => {
      const id = names.get(toHex(row.tag));
      return id === undefined ? [] : [{ id, row }];
    });
  }

  #openGone({ tag, sealed }: Pick<GoneRow, 'tag' | 'sealed'>): Uint8Array | undefined {
    const { crypto, transportKey } = this.#ports;
    const handle = openSealed(crypto, transportKey, concat(GONE_LABEL, tag), sealed);
    return handle?.length === HANDLE_BYTES ? handle : undefined;
  }
}

const GONE_LABEL = utf8('Roost 1.0 FederationGone');
