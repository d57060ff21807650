import { Failure } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';

/** The versions of the protocol between homeservers that one of them speaks. */
export interface VersionRange {
  readonly min: number;
  readonly max: number;
}

/** What this code speaks. */
export const SPOKEN: VersionRange = { min: 1, max: 1 };

interface Speaker {
  readonly domain: Domain;
  readonly protocol: VersionRange;
}

/** The highest version that both speak. Where there is none, the sentence says who has to upgrade. */
export function commonVersion(us: Speaker, peer: Speaker): number {
  const version = Math.min(us.protocol.max, peer.protocol.max);
  if (version >= us.protocol.min && version >= peer.protocol.min) return version;
  const behind = us.protocol.max < peer.protocol.min ? us : peer;
  throw new Failure(
    'FEDERATION_DENIED',
    `${us.domain} speaks federation ${print(us)} and ${peer.domain} ${print(peer)}: ` +
      `${behind.domain} has to be upgraded`,
  );
}

function print({ protocol: { min, max } }: Speaker): string {
  return min === max ? `version ${min}` : `versions ${min} to ${max}`;
}
