import { expect, test } from '@jest/globals';
import { fromBase64url, utf8 } from '@roost/core/bytes';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { encryptPush, vapidHeader } from './web-push-content.ts';

const bytes = (text: string): Uint8Array<ArrayBuffer> => fromBase64url(text) ?? new Uint8Array(0);

test('the example of RFC 8291, appendix A', () => {
  const sender = {
    privateKey: bytes('yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw'),
    publicKey: bytes(
      'BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8',
    ),
  };
  const secrets = {
    p256dh: bytes(
      'BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4',
    ),
    auth: bytes('BTBZMqHH6r4Tts7J_aSIgg'),
    salt: bytes('DGv6ra1nlYgDCS1FRnbzlw'),
    sender,
  };
  const body = encryptPush(crypto, secrets, utf8('When I grow up, I want to be a watermelon'));
  expect(body).toEqual(
    bytes(
      'DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLoc' +
        'InmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN',
    ),
  );
});

test('keys that are no point give nothing', () => {
  const sender = crypto.p256.generate();
  const secrets = { p256dh: new Uint8Array(65), auth: crypto.random(16), salt: crypto.random(16) };
  expect(encryptPush(crypto, { ...secrets, sender }, utf8('x'))).toBeUndefined();
});

test('a provider can check who sends: every signature is 64 bytes and holds', async () => {
  const keys = crypto.p256.generate();
  const verifying = await globalThis.crypto.subtle.importKey(
    'raw',
    keys.publicKey,
    { name: 'ECDSA', namedCurve: 'P-256' },
    false,
    ['verify'],
  );
  for (let at = 0; at < 64; at++) {
    const sender = { keys, subject: 'https://home.example' };
    const expiresMs = 1_700_000_000_999 + at * 1_000;
    const header = vapidHeader(crypto, sender, { origin: 'https://push.example', expiresMs });
    const [, head = '', claims = '', signature = '', key = ''] =
      /^vapid t=([\w-]+)\.([\w-]+)\.([\w-]+), k=([\w-]+)$/.exec(header) ?? [];
    expect(JSON.parse(new TextDecoder().decode(bytes(claims)))).toEqual({
      aud: 'https://push.example',
      exp: 1_700_000_000 + at,
      sub: 'https://home.example',
    });
    expect(bytes(key)).toEqual(keys.publicKey);
    const algorithm = { name: 'ECDSA', hash: 'SHA-256' };
    const signed = Uint8Array.from(utf8(`${head}.${claims}`));
    const holds = await globalThis.crypto.subtle.verify(
      algorithm,
      verifying,
      bytes(signature),
      signed,
    );
    expect([bytes(signature).length, holds]).toEqual([64, true]);
  }
});
