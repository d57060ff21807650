import { expect, test } from '@jest/globals';
import { notificationsNow, type Notifications } from './settings.ts';

test('a mute ends by the clock, and nothing else does', () => {
  const at = (nowMs: number, set?: Notifications) =>
    notificationsNow({ clock: { now: () => nowMs } }, set).kind;
  const muted = { kind: 'muted', untilMs: 60_000 } as const;
  expect([at(59_999, muted), at(60_000, muted)]).toEqual(['muted', 'all']);
  expect([at(0), at(60_000, { kind: 'silent' })]).toEqual(['all', 'silent']);
});
