import { expect, test } from '@jest/globals';

import { natsConfigOf } from './nats-config.ts';

const ORDER = { prefix: 'roost', routes: [] };

test('every password is a variable that the server looks up, and never a text that stands there', () => {
  const config = natsConfigOf({ ...ORDER, isFederated: true });
  const passwords = [...config.matchAll(/"password": (.*),/g)].map(([, password]) => password);
  expect(passwords).toEqual([
    ...['$NATS_PASSWORD_AS', '$NATS_PASSWORD_DS', '$NATS_PASSWORD_QS'],
    '$NATS_PASSWORD_FEDERATION_GATEWAY',
  ]);
});

test('a homeserver that does not federate needs no password for a gateway', () => {
  expect(natsConfigOf({ ...ORDER, isFederated: false })).not.toContain('federation');
});
