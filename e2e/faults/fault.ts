import type { Site } from './site.ts';

/** Something that goes wrong while people talk. */
export interface Fault {
  readonly name: string;
  readonly about: string;
  /** Part of the short selection that CI runs. */
  readonly isQuick?: boolean;
  /** Why it cannot be tried on this machine; nothing where it can. */
  readonly whyNot?: () => string | undefined;
  /** Brings it about, waits, and puts right what it broke. What it promises besides, it tells the site. */
  readonly strike: (site: Site) => Promise<void>;
}
