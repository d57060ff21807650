import { fromBase64url, fromUtf8, toBase64url, utf8 } from '@roost/core/bytes';
import { malformed } from '@roost/core/failure';
import { decodeAll, encode, type Reader } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { TOKEN_BYTES, TOKEN_TYPE } from './token.ts';

/** RFC 9577 §2.1.1: what tokens are bound to. */
export interface TokenChallenge {
  readonly tokenType: number;
  readonly issuerName: string;
  /** Empty or 32 bytes. */
  readonly redemptionContext: Uint8Array;
  /** Names of origins, separated by commas; empty for any. */
  readonly originInfo: string;
}

/** One challenge of a `www-authenticate` header. */
export interface ChallengeOffer {
  readonly challenge: Uint8Array;
  /** The issuer's public key, for the types that have one. */
  readonly tokenKey?: Uint8Array | undefined;
  readonly maxAgeSeconds?: number | undefined;
}

/**
 * The challenge of all tokens of a homeserver. Its redemption context is empty, so that tokens are
 * drawn ahead in batches and time unlinks them from their use (RFC 9576 §4.1).
 */
export function newChallenge(issuerName: string): TokenChallenge {
  const redemptionContext = new Uint8Array(0);
  return { tokenType: TOKEN_TYPE, issuerName, redemptionContext, originInfo: '' };
}

export function encodeChallenge(challenge: TokenChallenge): Uint8Array<ArrayBuffer> {
  const issuerName = utf8(challenge.issuerName);
  const originInfo = utf8(challenge.originInfo);
  checkChallenge(challenge);
  return encode((writer) => {
    writer.u16(challenge.tokenType).u16(issuerName.length).fixed(issuerName);
    writer.u8(challenge.redemptionContext.length).fixed(challenge.redemptionContext);
    writer.u16(originInfo.length).fixed(originInfo);
  });
}

/** Takes any token type: a client may be offered several. */
export function decodeChallenge(bytes: Uint8Array): TokenChallenge {
  const challenge = decodeAll(bytes, 'TokenChallenge', (reader) => ({
    tokenType: reader.u16(),
    issuerName: text(reader, reader.u16()),
    redemptionContext: reader.fixed(reader.u8()),
    originInfo: text(reader, reader.u16()),
  }));
  checkChallenge(challenge);
  return challenge;
}

/** What tokens carry of their challenge. */
export function challengeDigest(
  crypto: Crypto,
  challenge: TokenChallenge,
): Uint8Array<ArrayBuffer> {
  return crypto.sha256(encodeChallenge(challenge));
}

/** The `authorization` header that redeems a token (RFC 9577 §2.2). */
export function authorizationHeader(token: Uint8Array): string {
  return `PrivateToken token="${toBase64url(token)}"`;
}

/**
 * The token of an `authorization` header; `undefined` where there is none of our type and size.
 * Unknown parameters are ignored, repeated ones refused.
 */
export function parseAuthorization(header: string): Uint8Array<ArrayBuffer> | undefined {
  const parts = parseAuthenticate(header);
  const [credentials] = parts ?? [];
  if (parts?.length !== 1 || credentials?.scheme !== SCHEME) return undefined;
  const token = fromBase64url(credentials.parameters.get('token') ?? '');
  const type = ((token?.[0] ?? 0) << 8) | (token?.[1] ?? 0);
  return token?.length === TOKEN_BYTES && type === TOKEN_TYPE ? token : undefined;
}

/** A `www-authenticate` header that asks for a token (RFC 9577 §2.1). */
export function authenticateHeader({ challenge, tokenKey, maxAgeSeconds }: ChallengeOffer): string {
  const parameters = [`challenge="${toBase64url(challenge)}"`];
  if (tokenKey !== undefined) parameters.push(`token-key="${toBase64url(tokenKey)}"`);
  if (maxAgeSeconds !== undefined) parameters.push(`max-age="${maxAgeSeconds}"`);
  return `PrivateToken ${parameters.join(', ')}`;
}

/** The challenges of a `www-authenticate` header in their order; other schemes are passed over. */
export function parseChallenges(header: string): ChallengeOffer[] {
  const offers: ChallengeOffer[] = [];
  for (const { scheme, parameters } of parseAuthenticate(header) ?? []) {
    const challenge = fromBase64url(parameters.get('challenge') ?? '');
    if (scheme !== SCHEME || challenge === undefined || challenge.length === 0) continue;
    const tokenKey = parameters.get('token-key');
    const maxAge = parameters.get('max-age') ?? '';
    offers.push({
      challenge,
      tokenKey: tokenKey === undefined ? undefined : fromBase64url(tokenKey),
      maxAgeSeconds: /^[0-9]{1,9}$/.test(maxAge) ? Number(maxAge) : undefined,
    });
  }
  return offers;
}

const SCHEME = 'privatetoken';
const HEADER_CHARS_MAX = 8192;
const NAME_BYTES_MAX = 0xffff;

function checkChallenge({ issuerName, redemptionContext, originInfo }: TokenChallenge): void {
  if (issuerName.length === 0 || utf8(issuerName).length > NAME_BYTES_MAX) {
    throw malformed('issuer_name', `is not 1 to ${NAME_BYTES_MAX} bytes long`);
  }
  if (redemptionContext.length !== 0 && redemptionContext.length !== 32) {
    throw malformed('redemption_context', 'is neither empty nor 32 bytes long');
  }
  if (utf8(originInfo).length > NAME_BYTES_MAX) {
    throw malformed('origin_info', `is longer than ${NAME_BYTES_MAX} bytes`);
  }
}

function text(reader: Reader, length: number): string {
  const bytes = reader.fixed(length);
  try {
    return fromUtf8(bytes);
  } catch {
    throw reader.refuse('a name is not UTF-8');
  }
}

interface SchemeParameters {
  readonly scheme: string;
  readonly parameters: Map<string, string>;
}

const WORD = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
/** Base64 may end in `=`, which a token may not, and which is sent unquoted all the same. */
const PARAMETER = new RegExp(
  `(${WORD})[ \\t]*=[ \\t]*(?:"((?:[^"\\\\]|\\\\.)*)"|(${WORD}={0,2}))`,
  'y',
);
const SCHEME_NAME = new RegExp(`(${WORD})(?:[ ]+|$)`, 'y');
/** The other form of credentials, which ours never has. */
const TOKEN68 = /[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)/y;
const SEPARATORS = /[ \t,]*/y;

/** `challenge` and `credentials` of RFC 9110 §11; names folded, `undefined` where it is neither. */
function parseAuthenticate(header: string): SchemeParameters[] | undefined {
  if (header.length > HEADER_CHARS_MAX) return undefined;
  const parts: SchemeParameters[] = [];
  let at = 0;
  const next = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const match = pattern.exec(header) ?? undefined;
    if (match !== undefined) at = pattern.lastIndex;
    return match;
  };

  for (next(SEPARATORS); at < header.length; next(SEPARATORS)) {
    const parameter = next(PARAMETER);
    if (parameter === undefined) {
      const scheme = next(SCHEME_NAME)?.[1];
      if (scheme === undefined) return undefined;
      next(TOKEN68);
      parts.push({ scheme: scheme.toLowerCase(), parameters: new Map() });
      continue;
    }
    const [, name = '', quoted, bare = ''] = parameter;
    const parameters = parts.at(-1)?.parameters;
    if (parameters === undefined || parameters.has(name.toLowerCase())) return undefined;
    parameters.set(name.toLowerCase(), quoted?.replaceAll(/\\(.)/g, '$1') ?? bare);
  }
  return parts;
}
