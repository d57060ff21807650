import type { ClientId, Domain, GroupId, QsClientId, QsUserId, UserId } from '@roost/core/ids';
import type { KeyPair } from '@roost/crypto/crypto';
import type { QueueReader } from '@roost/bus/queue';
import type { ParticipantId, RoomKind } from '@roost/mls/room';
import { type Shelf, shelf } from './ledger.ts';
import { mlsShelf } from './mls-config.ts';
import type { OwnPush } from './push.ts';
import type { Notifications } from './settings.ts';

/** What a client keeps, and where. Records are values: a change is another value. */

/** The account, filled in step by step until it is ready. */
export interface Account {
  readonly userName: string;
  readonly domain: Domain;
  readonly registrationId: Uint8Array;
  readonly inviteCode: string;
  /** The key of the client credential. */
  readonly signing: KeyPair;
  /** Signs the credential of a new first client when all are lost. */
  readonly recovery: KeyPair;
  /** Newest first: requests to an older connection package are still opened. */
  readonly connections: readonly ConnectionKey[];
  readonly qsUserKey: KeyPair;
  readonly qsClientKey: KeyPair;
  readonly queueKey: KeyPair;
  /** Seals the link keys of our KeyPackages; contacts hold it. */
  readonly friendshipKey: Uint8Array;
  /** Set when the AS has answered the first step of registration. */
  readonly credentials?: Credentials | undefined;
  readonly isRegistered: boolean;
  readonly qsUser?: QsUserId | undefined;
  readonly qsClient?: QsClientId | undefined;
  /** Grows with each change of the friendship tokens at the QS. */
  readonly friendshipVersion: bigint;
  readonly push?: OwnPush | undefined;
}

export interface Credentials {
  readonly client: ClientId;
  readonly clientCredential: Uint8Array;
  readonly nameBinding: Uint8Array;
  readonly notAfterMs: number;
}

export interface ConnectionKey {
  readonly pair: KeyPair;
  readonly connectionPackage: Uint8Array;
  readonly notAfterMs: number;
}

/** The keys of an AS, as they were fetched last. */
export interface TrustRecord {
  readonly roots: readonly Uint8Array[];
  readonly intermediates: readonly Uint8Array[];
  readonly revoked: readonly Uint8Array[];
  /** By what the hub proposes changes in our groups: an ExternalSender; empty where it was not asked. */
  readonly externalSender: Uint8Array;
  readonly fetchedMs: number;
}

/** How far the direct queue is read. */
interface DirectReader {
  readonly next: bigint;
}

/** A KeyPackage of ours that is out, until a Welcome uses it or it expires. */
export interface OwnPackage {
  /** The KeyPackage in an MLSMessage. */
  readonly keyPackage: Uint8Array;
  readonly initPrivateKey: Uint8Array;
  readonly hpkePrivateKey: Uint8Array;
  readonly leaf: OwnLeaf;
  readonly isLastResort: boolean;
  readonly isPublished: boolean;
  readonly notAfterMs: number;
}

/** What belongs to a leaf of ours: its signature key, its link key and where its messages go. */
export interface OwnLeaf {
  readonly signing: KeyPair;
  readonly linkKey: Uint8Array;
  readonly handle: Uint8Array;
  readonly pushKey: Uint8Array;
}

type ContactStanding =
  /** We asked; the answer is not here. */
  | 'asked'
  /** They ask; we have not answered. */
  | 'asking'
  /** We accepted, and are on our way into the group. */
  | 'accepting'
  | 'connected'
  | 'rejected';

export interface Contact {
  readonly user: UserId;
  readonly userName: string;
  readonly standing: ContactStanding;
  /** The conversation between the two. */
  readonly group: GroupId;
  /** The client's signature key, and the hash of the account's recovery key, as first seen. */
  readonly clientKey: Uint8Array;
  readonly recoveryKeyHash: Uint8Array;
  readonly sinceMs: number;
  /** The friendship token that is for them. */
  readonly ownToken?: Uint8Array | undefined;
  /** Theirs for us, and the key that opens the link keys of their KeyPackages. */
  readonly token?: Uint8Array | undefined;
  readonly friendshipKey?: Uint8Array | undefined;
  /** While they ask. */
  readonly request?: RequestRecord | undefined;
  readonly isBlocked?: boolean | undefined;
  /** A new request while we are connected; it counts once the other one has said farewell. */
  readonly renewal?: Contact | undefined;
  /** The conversation that we deleted, until we ask for a new one. */
  readonly forgotten?: GroupId | undefined;
}

/** What a connection request brought. */
export interface RequestRecord {
  readonly keys: GroupKeys;
  readonly joinSecret: Uint8Array;
  readonly replyPackage: Uint8Array;
}

/** The keys that all members of a group hold. */
export interface GroupKeys {
  readonly earKey: Uint8Array;
  readonly linkWrapperKey: Uint8Array;
  readonly participantKey: Uint8Array;
}

type GroupStanding =
  /** On its way to the hub. */
  | 'creating'
  /** We are a member. */
  | 'active'
  /** We left, were removed, or it was deleted. */
  | 'gone';

export interface Group {
  readonly id: GroupId;
  readonly kind: RoomKind;
  readonly title: string;
  readonly standing: GroupStanding;
  readonly keys: GroupKeys;
  readonly leaf: OwnLeaf;
  readonly members: readonly Member[];
  /** Who left lately; whoever is ahead of its queue hears them still. */
  readonly former?: readonly Member[] | undefined;
  /** Whether our own wish to leave is out. */
  readonly isLeaving: boolean;
  /** Whether commits may be missing, so that the log is read before anything is sent. */
  readonly isBehind: boolean;
  /** When our keys in it were renewed; absent where it was only just entered. */
  readonly renewedMs?: number | undefined;
  /** The log leads no further: we come back by an external commit, after reporting a bad commit. */
  readonly lost?: Lost | undefined;
  /** The commits that led here, the last of them: by them we know a hub that was restored. */
  readonly commits?: readonly AppliedCommit[] | undefined;
  /** From this epoch on the hub may have another history than ours. */
  readonly suspectEpoch?: bigint | undefined;
  /** How many lines its history has. */
  readonly lines: number;
  readonly notifications?: Notifications | undefined;
  readonly isSilenced?: boolean | undefined;
  /** The hub let a commit pass, the one to this epoch, that the policy of the room is against. */
  readonly atOdds?:
    | { readonly epoch: bigint; readonly sentence: string; readonly isReported: boolean }
    | undefined;
  /** Of a group conversation: who founded it, and with whom. */
  readonly founding?: Founding | undefined;
  /** Some of them go on in another one of the same people. */
  readonly isGoingOn?: boolean | undefined;
  /** The names of those who are banned, by their participant ids; as far as we know them. */
  readonly banned?: Readonly<Record<string, string>> | undefined;
  /** We deleted it, and nobody can tell. */
  readonly isForgotten?: boolean | undefined;
  /** The conversation between the same two that stayed, where this one did not. */
  readonly movedTo?: GroupId | undefined;
}

interface Lost {
  readonly bad?: BadCommit | undefined;
  /** The hub was restored from a backup, and is at an epoch that we have left. */
  readonly isRolledBack?: boolean | undefined;
}

/** A commit, by the epoch that it was made in. */
export interface AppliedCommit {
  readonly epoch: bigint;
  /** SHA-256 of its bytes. */
  readonly hash: Uint8Array;
}

/** A commit that members cannot process, by the epoch that it led to. */
interface BadCommit {
  readonly epoch: bigint;
  readonly kind: 'path-secret' | 'confirmation-tag';
}

/** Users by their ids as text. */
export interface Founding {
  readonly founder: string;
  /** Sorted; the founder is one of them. */
  readonly users: readonly string[];
}

/**
 * A leaf of a group and who is behind it: known by its identity; unjudged, where nobody tells by what; or, with
 * neither, forged.
 */
export interface Member {
  readonly leafIndex: number;
  readonly signatureKey: Uint8Array;
  /** AddedLeaf: its participant id and its wrapped link key. */
  readonly addedLeaf: Uint8Array;
  readonly participant: ParticipantId;
  readonly identity?: MemberIdentity | undefined;
  /** The domain that it says it is of, whose keys cannot be had to judge it. */
  readonly unjudged?: Domain | undefined;
}

export interface MemberIdentity {
  readonly user: UserId;
  readonly client: ClientId;
  readonly userName: string;
  readonly clientKey: Uint8Array;
  readonly recoveryKeyHash: Uint8Array;
}

/** A commit of ours that is out; `mls-next/` has the state that it leads to. */
export interface PendingCommit {
  readonly commit: Uint8Array;
  readonly groupInfo: Uint8Array;
  readonly welcome?: Uint8Array | undefined;
  readonly joiners: readonly { readonly keyPackageRef: Uint8Array; readonly sealed: Uint8Array }[];
  /** Set where it is an external commit. */
  readonly joinSecret?: Uint8Array | undefined;
  /** It brings us back in the place of our old leaf. */
  readonly isResync?: boolean | undefined;
  /** The task that is done when the commit is accepted. */
  readonly task?: string | undefined;
}

/** A group that we were added to or are entering, until we are a member. */
interface Joining {
  readonly sinceMs: number;
}

/** An event of a group that came before what it builds on. */
interface EarlyEvent {
  readonly event: Uint8Array;
}

export const accounts = shelf<Account>('account/');
export const SELF = 'self';
export const trusts = shelf<TrustRecord>('trust/');
export const queueReaders = shelf<QueueReader>('queue/');
export const directReaders = shelf<DirectReader>('direct/');
export const packages = shelf<OwnPackage>('package/');
export const contacts = shelf<Contact>('contact/');
export const groups = shelf<Group>('group/');
export const states = mlsShelf('mls/');
export const nextStates = mlsShelf('mls-next/');
export const pendingCommits = shelf<PendingCommit>('commit/');
export const joinings = shelf<Joining>('joining/');
export const earlyEvents = shelf<EarlyEvent>('early/');
/** The ids of the last messages of a group, one behind the other. */
export const seenIds = shelf<{ readonly ids: Uint8Array }>('seen/');
/** Numbers that only grow, by what they count. */
export const counters = shelf<{ readonly next: number }>('counter/');

export const stateShelves: readonly Shelf<unknown>[] = [
  accounts,
  trusts,
  queueReaders,
  directReaders,
  packages,
  contacts,
  groups,
  states,
  nextStates,
  pendingCommits,
  joinings,
  earlyEvents,
  seenIds,
  counters,
];
