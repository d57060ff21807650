import { expect, test } from '@jest/globals';
import {
  EPOCHS_MAX,
  NO_REPORTS,
  decodeReports,
  encodeReports,
  quorumOf,
  suspectEpochs,
  withReport,
} from './reports.ts';
import type { Reports } from './reports.ts';

const who = (n: number): string => n.toString(16).padStart(32, '0');
const reported = (reports: Reports, epoch: bigint, by: number, participants = 9): Reports =>
  withReport(reports, {
    epoch,
    report: { participant: who(by), kind: 'pathSecret' },
    participants,
  });

test('a third of the participants make an epoch suspect, and two at least', () => {
  expect([2, 3, 6, 7, 9, 10, 100].map(quorumOf)).toEqual([2, 2, 2, 3, 3, 4, 34]);
  const two = reported(reported(NO_REPORTS, 5n, 1), 5n, 2);
  expect(suspectEpochs(two, 0n)).toEqual([]);
  expect(suspectEpochs(reported(two, 5n, 3), 0n)).toEqual([5n]);
});

test('a participant counts once for an epoch, whatever it says', () => {
  const once = reported(NO_REPORTS, 5n, 1, 2);
  const report = { participant: who(1), kind: 'link' as const };
  expect(withReport(once, { epoch: 5n, report, participants: 2 })).toBe(once);
});

test('an epoch stays suspect when the group grows, and takes no more reports', () => {
  const suspect = reported(reported(NO_REPORTS, 5n, 1, 4), 5n, 2, 4);
  expect(reported(suspect, 5n, 3, 100)).toBe(suspect);
  expect(suspectEpochs(suspect, 5n)).toEqual([5n]);
});

test('nobody is told of epochs from before it joined', () => {
  const suspect = reported(reported(NO_REPORTS, 5n, 1, 2), 5n, 2, 2);
  expect(suspectEpochs(suspect, 6n)).toEqual([]);
});

test('the latest epochs are kept, in order', () => {
  let reports = NO_REPORTS;
  for (const epoch of [
    90n,
    3n,
    ...Array.from({ length: EPOCHS_MAX }, (_, at) => BigInt(at + 10)),
  ]) {
    reports = reported(reports, epoch, 1);
  }
  const epochs = reports.epochs.map(({ epoch }) => epoch);
  expect(epochs).toHaveLength(EPOCHS_MAX);
  expect(epochs[0]).toBe(11n);
  expect(epochs.at(-1)).toBe(90n);
});

test('reports are read as they were written', () => {
  const reports = reported(reported(reported(NO_REPORTS, 5n, 1, 2), 5n, 2, 2), 9n, 3);
  expect(decodeReports(encodeReports(reports))).toEqual(reports);
});
