import { DAY_MS } from '@roost/core/time';

/** When an issuer key issues and until when its tokens are redeemed, in ms since 1970. */
export interface KeyWindow {
  readonly issuesFrom: number;
  readonly issuesUntil: number;
  readonly redeemsUntil: number;
}

export type KeyState = 'next' | 'current' | 'previous' | 'retired';

/** A key issues for a week; its tokens are good for one day more (design §4). */
export const ISSUES_MS = 7 * DAY_MS;
export const OVERLAP_MS = DAY_MS;

export function stateOf(window: KeyWindow, now: number): KeyState {
  if (now >= window.redeemsUntil) return 'retired';
  if (now >= window.issuesUntil) return 'previous';
  return now >= window.issuesFrom ? 'current' : 'next';
}

/**
 * The windows of the keys that are missing now: always one that issues and one that is announced. The
 * first key begins now; later ones begin where the one before ends, or now after a long pause.
 */
export function missingWindows(existing: readonly KeyWindow[], now: number): readonly KeyWindow[] {
  const missing: KeyWindow[] = [];
  let last = Math.max(0, ...existing.map((window) => window.issuesUntil));
  const has = (state: KeyState): boolean =>
    [...existing, ...missing].some((window) => stateOf(window, now) === state);

  if (!has('current')) missing.push(windowFrom((last = now)));
  if (!has('next')) missing.push(windowFrom(Math.max(last, ...missing.map((w) => w.issuesUntil))));
  return missing;
}

/** The window of a key where the next one is to issue from now on. */
export function hastened(window: KeyWindow, now: number): KeyWindow {
  switch (stateOf(window, now)) {
    case 'next':
      return windowFrom(now);
    case 'current':
      return {
        ...window,
        issuesUntil: Math.max(now, window.issuesFrom + 1),
        redeemsUntil: now + OVERLAP_MS,
      };
    case 'previous':
    case 'retired':
      return window;
  }
}

function windowFrom(issuesFrom: number): KeyWindow {
  const issuesUntil = issuesFrom + ISSUES_MS;
  return { issuesFrom, issuesUntil, redeemsUntil: issuesUntil + OVERLAP_MS };
}
