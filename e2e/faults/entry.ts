/** Texts as people see them, or the bytes of MLS messages as they lie in queues. */
export type Level = 'text' | 'queue';

/** One line of a history. They are in the order in which things happened; `atMs` is one clock. */
export type Entry = Happened & { readonly atMs: number };

export type Happened =
  | (Message & { readonly kind: 'sending' })
  /** The hub has it; made in this epoch. */
  | (Message & { readonly kind: 'accepted'; readonly epoch: number })
  /** It was refused for good. Without this and without `accepted`, nobody knows. */
  | (Message & { readonly kind: 'refused'; readonly reason: string })
  /** Each client's in the order in which they came. `epoch` is what the queue says. */
  | (Message & { readonly kind: 'arrived'; readonly epoch?: number; readonly isCommit?: boolean })
  /** From this epoch on; by a level, where not for both. */
  | (Membership & { readonly kind: 'joined'; readonly epoch: number; readonly seenBy?: Level })
  /** Somebody asks the hub to remove them; from here on they may or may not get something. */
  | (Membership & { readonly kind: 'removing' })
  /** The hub knows nothing of them when they want to enter by a Welcome: they let the group go. */
  | (Membership & { readonly kind: 'barred'; readonly epoch: number })
  /** They are out with this epoch. */
  | (Membership & { readonly kind: 'removed'; readonly epoch: number })
  /** A commit that the hub accepted, by what it answered. */
  | (Membership & { readonly kind: 'won'; readonly epoch: number; readonly what: string })
  /** An entry of a queue; it may be read again. */
  | {
      readonly kind: 'read';
      readonly client: string;
      readonly queue: string;
      readonly sequence: number;
      readonly what: string;
    }
  /** The gate let a token pass. */
  | { readonly kind: 'passed'; readonly token: string; readonly path: string }
  | { readonly kind: 'claimed'; readonly what: string; readonly isLastResort: boolean }
  /** Somebody who has no right to it got in. */
  | { readonly kind: 'intruded'; readonly by: string; readonly into: string };

export interface Membership {
  readonly client: string;
  readonly group: string;
}

export interface Message extends Membership {
  readonly level: Level;
  /** The text, or the hash of the bytes. Nobody says the same twice. */
  readonly what: string;
}
