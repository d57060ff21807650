import { readFileSync } from 'node:fs';
import { toHex } from '@roost/core/bytes';
import { CannotStart } from '@roost/core/cannot-start';
import { errorCode } from '@roost/core/error-code';
import type { AuditFlaw, AuditRow } from '@roost/federation/audit';
import { z } from 'zod';

/**
 * The head of a record: where each of its chains ended. Whoever can write the database can take rows off the
 * end of a chain, or chain those anew that follow a row that was taken out; not so that it fits a head that
 * is kept elsewhere.
 */
export class HeadWriter {
  readonly #ends = new Map<string, Head['chains'][number]>();

  note(rows: readonly Pick<RowOnWire, 'chain' | 'position' | 'acceptedAtMs' | 'hash'>[]): void {
    for (const { chain, position, acceptedAtMs, hash } of rows) {
      const place = { chain: toHex(chain), position: Number(position) };
      const end = { ...place, acceptedAtMs: Number(acceptedAtMs), hash: toHex(hash) };
      this.#ends.set(end.chain, end);
    }
  }

  text(exportedAtMs: number): string {
    const head = { kind: HEAD, version: 1, exportedAtMs, chains: [...this.#ends.values()] };
    return `${JSON.stringify(head)}\n`;
  }
}

interface RowOnWire {
  readonly chain: Uint8Array;
  readonly position: bigint;
  readonly acceptedAtMs: bigint;
  readonly hash: Uint8Array;
}

/** Sees whether the rows of a later export go on from a head. What is older than all that is left is gone by age. */
export class HeadReader {
  readonly #awaited: Map<string, Head['chains'][number]>;
  readonly #flaws: AuditFlaw[] = [];
  #oldestMs: number | undefined;

  constructor(path: string) {
    const { chains } = headIn(path);
    this.#awaited = new Map(chains.map((end) => [end.chain, end]));
  }

  see({ chain: bytes, position, acceptedAtMs, hash }: AuditRow): void {
    this.#oldestMs = Math.min(acceptedAtMs, this.#oldestMs ?? acceptedAtMs);
    const chain = toHex(bytes);
    const end = this.#awaited.get(chain);
    if (end === undefined || BigInt(end.position) !== position) return;
    this.#awaited.delete(chain);
    if (end.hash !== toHex(hash)) this.#flaws.push({ chain, position, what: 'head' });
  }

  flaws(): readonly AuditFlaw[] {
    const oldestMs = this.#oldestMs ?? 0;
    const missing = [...this.#awaited.values()].filter((end) => end.acceptedAtMs >= oldestMs);
    const ends = missing.map(({ chain, position }) => ({ chain, position: BigInt(position) }));
    return [...this.#flaws, ...ends.map((end) => ({ ...end, what: 'end' as const }))];
  }
}

function headIn(path: string): Head {
  try {
    return headSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    const why = errorCode(error) ?? 'it is not what "audit export --head" wrote';
    throw new CannotStart(`--head ${path} cannot be read (${why})`, { cause: error });
  }
}

const HEAD = 'roost federation audit head';
const ms = z.int().min(0);
const headSchema = z.object({
  ...{ kind: z.literal(HEAD), version: z.literal(1), exportedAtMs: ms },
  chains: z.array(
    z.object({
      ...{ chain: z.string().regex(/^[0-9a-f]{32}$/), position: z.int().min(1), acceptedAtMs: ms },
      hash: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
});
type Head = z.output<typeof headSchema>;
