import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { kindOf } from '@roost/core/vectors';
import { tokenKinds } from './kinds.ts';

/**
 * The published vectors, byte for byte. Entries of type 0x0001 (VOPRF over P-384), which Roost does
 * not issue, are left out by name.
 */
const FILES: readonly (readonly [name: string, kind: string, left: readonly string[]])[] = [
  ['pub_verif_rfc9578.go', 'RFC 9578 token', []],
  [
    'generic_batched_tokens_v6_go',
    'generic batch of tokens',
    ['0 whole', '2 whole', '4 in part: 1 of its tokens'],
  ],
  ['auth_scheme_token_v14', 'RFC 9577 token input', []],
  ['auth_scheme_header_v14', 'RFC 9577 www-authenticate header', []],
];

const read = (name: string): object[] =>
  JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8'));

test.each(FILES)(
  '%s: every %s is issued and redeemed as published',
  async (name, kindName, left) => {
    const entries = read(name);
    expect(entries).not.toHaveLength(0);
    const found: string[] = [];
    for (const [at, entry] of entries.entries()) {
      const kind = kindOf(tokenKinds, entry);
      expect(kind?.name).toBe(kindName);
      const skipped = kind?.skips(entry);
      if (skipped !== undefined) {
        expect(skipped.why).toContain('type 0x0001 (VOPRF over P-384) is not issued here');
        found.push(`${at} ${skipped.whole ? 'whole' : `in part: ${skipped.why.split(':')[0]}`}`);
      }
      if (skipped?.whole !== true) await kind?.check(entry);
    }
    expect(found).toEqual(left);
  },
);

test.each([
  ['pub_verif_rfc9578.go', 'token'],
  ['pub_verif_rfc9578.go', 'token_request'],
  ['pub_verif_rfc9578.go', 'token_response'],
  ['pub_verif_rfc9578.go', 'pkS'],
  ['generic_batched_tokens_v6_go', 'token_request'],
  ['generic_batched_tokens_v6_go', 'token_response'],
  ['auth_scheme_token_v14', 'token_authenticator_input'],
  ['auth_scheme_header_v14', 'token-challenge-0'],
  ['auth_scheme_header_v14', 'token-key-0'],
])('%s: another %s than is published does not come out', async (name, field) => {
  const entry = read(name)[1] ?? {};
  const text = String(new Map(Object.entries(entry)).get(field));
  const changed = { ...entry, [field]: `${text.slice(0, -1)}${text.endsWith('0') ? '1' : '0'}` };
  await expect(async () => kindOf(tokenKinds, entry)?.check(changed)).rejects.toThrow();
});

test('other names of the same fields are read, and other types left out by name', async () => {
  const [first] = read('pub_verif_rfc9578.go');
  const { skS, pkS, ...rest } = first as { skS: string; pkS: string };
  const renamed = { ...rest, sk_s: skS, pk_s: pkS };
  await expect(Promise.resolve(kindOf(tokenKinds, renamed)?.check(renamed))).resolves.not.toThrow();

  const why = (entry: object) => kindOf(tokenKinds, entry)?.skips(entry);
  const other = (type: string) => ({ ...first, token_request: `${type}00` });
  const amortized = { nonces: [], tokens: [], token_request: '0005aa' };
  expect(why(renamed)).toBeUndefined();
  expect(why(other('da7a'))?.why).toBe('type 0xda7a (partially blind RSA) is not issued here');
  expect(why(amortized)?.why).toBe('type 0x0005 (VOPRF over ristretto255) is not issued here');
  const batch = { issuance: [{ token_type: '0002' }], token_request: '', token_response: '' };
  expect(why(batch)).toBeUndefined();
});
