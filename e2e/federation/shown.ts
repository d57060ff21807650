// The other half of the spoof matrix: what is shown on the connection, besides what is signed.
export interface Shown {
  readonly name: string;
  /** Subject alternative names of what is shown; '' for none but a common name; absent where nothing is. */
  readonly names?: string;
  readonly days?: number;
  /** It is the one that the directory of a.example has a pin of. */
  readonly isPinned?: true;
  /** Whose gateway it says that it is, before it is read; the envelope says a.example. */
  readonly claims?: string;
  /** `answered`, or what is counted: by how much a homeserver wants to see. */
  readonly preferred: string;
  readonly required: string;
}

const FLAW = 'BAD_ENVELOPE certificate';
const SOURCE = 'a.example';

export const SHOWN: readonly Shown[] = [
  {
    ...{ name: 'that of its source, with a pin', names: `DNS:${SOURCE}`, isPinned: true },
    ...{ preferred: 'answered', required: 'answered' },
  },
  {
    ...{ name: 'one for its source that nobody vouches for', names: `DNS:${SOURCE}` },
    ...{ preferred: 'answered', required: FLAW },
  },
  { name: 'none', preferred: 'answered', required: FLAW },
  { name: 'that of C', names: 'DNS:c.example', preferred: FLAW, required: FLAW },
  {
    ...{ name: 'that of C, and the claim to be C', names: 'DNS:c.example', claims: 'c.example' },
    // Then it is not of whom the envelope is.
    ...{ preferred: 'BAD_ENVELOPE source', required: 'BAD_ENVELOPE source' },
  },
  { name: 'a wildcard', names: 'DNS:*.example', preferred: FLAW, required: FLAW },
  { name: 'its source as a common name alone', names: '', preferred: FLAW, required: FLAW },
  {
    ...{ name: 'its source in a URI', names: `URI:https://${SOURCE}` },
    ...{ preferred: FLAW, required: FLAW },
  },
  {
    ...{ name: 'its source below another name', names: `DNS:${SOURCE}.c.example` },
    ...{ preferred: FLAW, required: FLAW },
  },
  {
    ...{ name: 'one of its source that has ended', names: `DNS:${SOURCE}`, days: -1 },
    // The signature vouches for what is said; a certificate that ended does not make it worse.
    ...{ preferred: 'answered', required: FLAW },
  },
];
