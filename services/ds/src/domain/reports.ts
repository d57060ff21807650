import { decodeAll, encode } from '@roost/core/tls';
import type { Reader, Writer } from '@roost/core/tls';
import { participantBytes, parseParticipantId } from '@roost/mls/room';
import type { ParticipantId } from '@roost/mls/room';

/** What members said of the commits that led to some epochs, which no server can check. */
export interface Reports {
  /** Ascending by epoch; the latest `EPOCHS_MAX`. */
  readonly epochs: readonly ReportedEpoch[];
}

export interface ReportedEpoch {
  readonly epoch: bigint;
  /** So many said so that the others are told; it stays. */
  readonly isSuspect: boolean;
  /** Each participant once. */
  readonly by: readonly Report[];
}

export interface Report {
  readonly participant: ParticipantId;
  readonly kind: BadCommit;
}

export type BadCommit = keyof typeof BAD_COMMITS;

/** The numbers of `BadCommitKind`. */
export const BAD_COMMITS = { pathSecret: 1, confirmationTag: 2, policy: 3, link: 4 } as const;

export const EPOCHS_MAX = 32;
/** One alone may err, or lie. */
const QUORUM_MIN = 2;
const QUORUM_FRACTION = 3;

export const NO_REPORTS: Reports = { epochs: [] };

/** So many participants make an epoch suspect. */
export function quorumOf(participants: number): number {
  return Math.max(QUORUM_MIN, Math.ceil(participants / QUORUM_FRACTION));
}

/** The reports with one more; the same where it changes nothing. */
export function withReport(reports: Reports, { epoch, report, participants }: Reporting): Reports {
  const before = reports.epochs.find((each) => each.epoch === epoch);
  const by = before?.by ?? [];
  const isNews =
    before?.isSuspect !== true && by.every(({ participant }) => participant !== report.participant);
  if (!isNews) return reports;
  const all = [...by, report];
  const reported = { epoch, isSuspect: all.length >= quorumOf(participants), by: all };
  const others = reports.epochs.filter((each) => each.epoch !== epoch);
  const epochs = [...others, reported].toSorted((a, b) => (a.epoch < b.epoch ? -1 : 1));
  return { epochs: epochs.slice(-EPOCHS_MAX) };
}

export interface Reporting {
  /** The epoch that the commit led to. */
  readonly epoch: bigint;
  readonly report: Report;
  /** How many are in the group now. */
  readonly participants: number;
}

/** The epochs that a member is warned of: none from before it joined. */
export function suspectEpochs({ epochs }: Reports, joinedEpoch: bigint): bigint[] {
  return epochs
    .filter(({ epoch, isSuspect }) => isSuspect && epoch >= joinedEpoch)
    .map(({ epoch }) => epoch);
}

export function encodeReports({ epochs }: Reports): Uint8Array<ArrayBuffer> {
  return encode((writer) => void writer.u16(VERSION).vector(epochs, writeEpoch));
}

export function decodeReports(bytes: Uint8Array): Reports {
  return decodeAll(bytes, 'reports', (reader) => {
    reader.version(VERSION);
    return { epochs: reader.vector(EPOCHS_MAX, readEpoch) };
  });
}

const VERSION = 1;
const PARTICIPANT_BYTES = 16;
const REPORTS_MAX = 100_000;

function writeEpoch(writer: Writer, { epoch, isSuspect, by }: ReportedEpoch): void {
  writer.u64(epoch).u8(isSuspect ? 1 : 0);
  writer.vector(by, (each, { participant, kind }) =>
    each.fixed(participantBytes(participant)).u8(BAD_COMMITS[kind]),
  );
}

function readEpoch(reader: Reader): ReportedEpoch {
  return {
    epoch: reader.u64(),
    isSuspect: reader.u8() === 1,
    by: reader.vector(REPORTS_MAX, readReport),
  };
}

function readReport(reader: Reader): Report {
  const participant = parseParticipantId(reader.fixed(PARTICIPANT_BYTES));
  const number = reader.u8();
  const kind = badCommitOf(number);
  if (kind === undefined) throw reader.refuse(`report kind ${number} is unknown`);
  return { participant, kind };
}

/** What a number of the contract says, if anything. */
export function badCommitOf(number: number): BadCommit | undefined {
  for (const kind of KINDS) if (BAD_COMMITS[kind] === number) return kind;
  return undefined;
}

const KINDS = ['pathSecret', 'confirmationTag', 'policy', 'link'] as const;
