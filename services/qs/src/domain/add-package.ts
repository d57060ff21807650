import { Failure } from '@roost/core/failure';
import { DAY_MS } from '@roost/core/time';

/** What is left after the cryptographic checks, to be judged together. */
export interface Offered {
  readonly isLastResort: boolean;
  readonly notAfterMs: number;
}

/** One that is about to expire could not be added any more when it is claimed. */
const REMAINING_MS_MIN = DAY_MS / 24;

/** Refuses what nobody could use for long. */
export function assertUsable({ notAfterMs }: Offered, nowMs: number): void {
  if (notAfterMs < nowMs + REMAINING_MS_MIN) {
    throw new Failure('INVALID_MLS', 'KeyPackage: its lifetime ends within the hour');
  }
}

export interface PoolLimits {
  readonly poolMax: number;
  readonly lastResortMax: number;
}

/** What a pool must look like after an upload. */
export function assertPool(
  pool: { readonly available: bigint; readonly lastResort: bigint },
  limits: PoolLimits,
): void {
  if (pool.lastResort === 0n) {
    throw new Failure('MALFORMED', 'add_packages: at least one last-resort KeyPackage is needed', {
      field: 'add_packages',
    });
  }
  if (pool.available > BigInt(limits.poolMax)) {
    throw new Failure('LIMIT_REACHED', `a client has at most ${limits.poolMax} KeyPackages`);
  }
  if (pool.lastResort > BigInt(limits.lastResortMax)) {
    throw new Failure(
      'LIMIT_REACHED',
      `a client has at most ${limits.lastResortMax} last-resort KeyPackages`,
    );
  }
}
