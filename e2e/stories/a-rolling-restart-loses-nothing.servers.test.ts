// Every replica of every service is restarted in its turn, as an upgrade does it, while two people talk without
// a pause and somebody asks each service something all the time.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sleep } from '@roost/core/time';
import { Dialogue } from '@roost/e2e/dialogue';
import { Homeserver } from '@roost/e2e/servers/homeserver';
import { Tokens } from '@roost/e2e/tokens';
import { Wire } from '@roost/e2e/wire';
import { Witness } from '@roost/e2e/witness';

const ACK = '/roost.queue.v1.QueueService/Ack';
const LOG = '/roost.delivery.v1.DeliveryService/GetLog';
const FIND = '/roost.authentication.v1.AuthenticationService/FindUser';
const KEYS = '/roost.authentication.v1.AuthenticationService/GetPublicKeys';

let world: Homeserver;
beforeAll(async () => {
  world = await Homeserver.open();
});
afterAll(async () => await world[Symbol.asyncDispose]());

/** Asks all services in turn, each call once more where nobody was there, as the SDK does it. */
async function askAll(tokens: Tokens, over: AbortSignal): Promise<Map<string, number>> {
  const wire = new Wire(world.door);
  const said = new Map<string, number>();
  const ask = async (path: string): Promise<string> => {
    const tokenClass = path === FIND ? 'contact' : 'general';
    const authorization = path === KEYS ? undefined : await tokens.take(tokenClass);
    const first = (await wire.grpc({ path, authorization })).said;
    if (first !== 'UNAVAILABLE') return first;
    await sleep(100);
    const again = (await wire.grpc({ path, authorization })).said;
    // The first may have spent it: then the SDK takes another.
    return again === 'TOKEN_SPENT' ? 'UNAUTHENTICATED' : again;
  };
  while (!over.aborted) {
    for (const path of [ACK, LOG, FIND, KEYS]) {
      const answer = `${path.split('/')[2]}: ${await ask(path)}`;
      said.set(answer, (said.get(answer) ?? 0) + 1);
    }
    await sleep(20, over);
  }
  return said;
}

test('no call fails after one more try, and every message arrives once and in order', async () => {
  await using dialogue = await Dialogue.open(world.door, ['rolf', 'rita']);
  await using payer = await Witness.come(world.door, 'paul');
  const tokens = await Tokens.of(payer, world.door);
  const over = new AbortController();
  const asking = askAll(tokens, over.signal);

  for (const each of world.processes.values()) {
    const status = await each.stop();
    expect([each.name, status]).toEqual([each.name, 0]);
    await each.start();
  }
  over.abort();

  // What the calls ask for besides the token: they come as far as their service.
  expect([...(await asking).keys()].toSorted()).toEqual([
    'Ack: UNAUTHENTICATED',
    'FindUser: MALFORMED',
    'GetLog: UNAUTHENTICATED',
    'GetPublicKeys: OK',
  ]);
  const { heard, said } = await dialogue.end();
  expect(heard).toEqual(said);
  expect(said.flat().length).toBeGreaterThan(100);
});
