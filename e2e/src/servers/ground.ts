import { assert } from '@roost/core/assert';
import type { Ground } from './environment.ts';

/** The servers that the homeservers of a run share; `tools/servers-up.mjs` has started them. */
export function sharedGround(): Ground {
  const text = process.env[VARIABLE];
  assert(
    text !== undefined,
    'tests with servers are called *.servers.test.ts, so that Jest starts some',
  );
  return JSON.parse(text) as Ground;
}

/** Told to all processes that this one forks from now on. */
export function shareGround(ground: Ground): void {
  process.env[VARIABLE] = JSON.stringify(ground);
}

const VARIABLE = 'ROOST_RUN_GROUND';
