import { Failure } from '@roost/core/failure';
import { expect, test } from '@jest/globals';
import { begin } from './registration.ts';

const hash = Uint8Array.of(1, 2, 3);
const free = { earlier: undefined, isNameTaken: false, rule: 'open', isInviteGood: false } as const;
const reason = (run: () => unknown): unknown => {
  try {
    return run();
  } catch (error) {
    return error instanceof Failure ? error.reason : error;
  }
};

test('a free name is reserved, a taken one is not', () => {
  expect(begin(free, hash)).toBe('reserve');
  expect(reason(() => begin({ ...free, isNameTaken: true }, hash))).toBe('NAME_TAKEN');
});

test('by invitation, a good code is needed', () => {
  expect(reason(() => begin({ ...free, rule: 'invite' }, hash))).toBe('INVITE_REQUIRED');
  expect(begin({ ...free, rule: 'invite', isInviteGood: true }, hash)).toBe('reserve');
});

test('the same request again gets its answer, although name and code are taken by itself', () => {
  const again = {
    earlier: { requestHash: hash },
    isNameTaken: true,
    rule: 'invite',
    isInviteGood: false,
  } as const;
  expect(begin(again, hash)).toBe('repeat');
  expect(reason(() => begin(again, Uint8Array.of(9)))).toBe('ID_REUSED');
});
