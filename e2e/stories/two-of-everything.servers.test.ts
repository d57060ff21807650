// Two replicas of each service are one service: what may happen once happens once whichever replica is asked, and
// who listens at one hears what was stored by the other.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';
import { sleep, systemClock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { servicesOf } from '@roost/client/calls';
import { idSigners } from '@roost/e2e/chores';
import { connectTo } from '@roost/e2e/door';
import { Homeserver } from '@roost/e2e/servers/homeserver';
import { Tokens } from '@roost/e2e/tokens';
import { connectTwo, Witness } from '@roost/e2e/witness';
import { TokenInternalServiceDefinition } from '@roost/proto/roost/tokens/v1/tokens';
import { clientOf, connectPeer } from '@roost/rpc/client';

const ACK = '/roost.queue.v1.QueueService/Ack';

let world: Homeserver;
const people: Witness[] = [];
const come = async (name: string): Promise<Witness> => {
  const person = await Witness.come(world.door, name);
  people.push(person);
  return person;
};

beforeAll(async () => {
  world = await Homeserver.open();
});
afterAll(async () => {
  await Promise.all(people.map((each) => each[Symbol.asyncDispose]()));
  await world[Symbol.asyncDispose]();
});

/** How many calls a replica has answered. */
async function callsAt(name: string): Promise<number> {
  const { body } = await world.process(name).ask('/metrics');
  const counts = [...body.matchAll(/^roost_rpc_calls_total(?:\{[^}]*\})? (\d+)/gm)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

test('a token is good at one of two AAS, asked at the same moment', async () => {
  const tokens = await Tokens.of(await come('tim'), world.door);
  const read = (name: string): string => readFileSync(join(world.certificates, name), 'utf8');
  const tls = { ca: read('ca.crt'), cert: read('gate.crt'), key: read('gate.key') };
  const gates = world.of('aas').map(({ address }) => {
    const channel = connectPeer([address], { domain: world.domain, name: 'aas' }, tls);
    return { channel, service: clientOf(TokenInternalServiceDefinition, channel) };
  });
  expect(gates.length).toBe(2);
  for (let round = 0; round < 30; round++) {
    const authorization = await tokens.take('general');
    const answers = await Promise.all(
      [...gates, ...gates].map(({ service }) =>
        service.checkToken({ path: ACK, authorization }).then(
          () => 'spent',
          (error: unknown) => (error instanceof Failure ? error.reason : String(error)),
        ),
      ),
    );
    expect(answers.toSorted()).toEqual(['TOKEN_SPENT', 'TOKEN_SPENT', 'TOKEN_SPENT', 'spent']);
  }
  for (const { channel } of gates) channel.close();
});

test('commits and claims that race over two DS and two QS have one winner each', async () => {
  const [ada, bea, cleo, dora] = await Promise.all(['ada', 'bea', 'cleo', 'dora'].map(come));
  const founders = [ada, bea, cleo] as [Witness, Witness, Witness];
  const target = dora as Witness;
  for (const each of founders) await connectTwo(each, target);
  await connectTwo(founders[0], founders[1]);
  await connectTwo(founders[0], founders[2]);

  // All claim KeyPackages of one at once: each gets one of its own, as each group can be joined.
  const groups = await Promise.all(
    [0, 1, 2, 3, 4, 5].map(
      async (number) =>
        await (founders[number % 3] as Witness).client.createGroup(`Group ${number}`, ['dora']),
    ),
  );
  for (const group of groups) await target.until('joined', ({ chat }) => chat === group);

  const room = await founders[0].client.createGroup('Race', ['bea', 'cleo', 'dora']);
  const members = [...founders, target];
  for (const each of members.slice(1)) await each.until('joined', ({ chat }) => chat === room);
  for (let round = 0; round < 5; round++) {
    await Promise.allSettled(
      founders.map(async (each) => await each.client.setTitle(room, `${each.name} ${round}`)),
    );
  }
  const commits = await world.databases.ds.query<{ epoch: bigint; count: bigint }>({
    text: 'SELECT group_id, epoch, count(*) FROM log GROUP BY 1, 2 HAVING count(*) > 1',
  });
  expect(commits).toEqual([]);
  for (const each of members) {
    const text = `${each.name} is still here`;
    const { sent } = await each.client.send(room, text);
    await sent;
    await Promise.all(members.filter((other) => other !== each).map((other) => other.hears(text)));
  }
  const titles = members.map((each) => each.client.chat(room)?.name);
  expect(new Set(titles).size).toBe(1);
});

test('a message wakes whoever listens at the other replica, without waiting for a look', async () => {
  const [lea, leo] = [await come('lea'), await come('leo')];
  const chat = await connectTwo(lea, leo);
  const tooLate: number[] = [];
  for (let number = 0; number < 20; number++) {
    const began = performance.now();
    await lea.client.send(chat, `quick ${number}`);
    await leo.hears(`quick ${number}`);
    const ms = performance.now() - began;
    // A lost ring is made up for after 30 seconds.
    if (ms > 5_000) tooLate.push(ms);
  }
  expect(tooLate).toEqual([]);
});

test('a newer listener ends the older one, at whichever replica each of them is', async () => {
  const nina = await come('nina');
  const tokens = await Tokens.of(nina, world.door);
  const { qsClient } = await idSigners(nina);
  await nina.client.close();
  const signing = { crypto, clock: systemClock, audience: world.domain };
  const endings: Promise<string>[] = [];
  const channels: Disposable[] = [];
  for (let number = 0; number < 6; number++) {
    // A connection each: they take turns over the replicas.
    const channel = connectTo(world.door);
    channels.push(channel);
    const { queue } = servicesOf(channel, signing);
    const options = { sign: qsClient, token: await tokens.takeRaw('general') };
    const listening = queue.listen({ fromSequence: 0n }, options)[Symbol.asyncIterator]();
    await listening.next();
    endings.push(
      (async () => {
        try {
          for (;;) if ((await listening.next()).done === true) return 'over';
        } catch (error) {
          return error instanceof Failure ? error.reason : String(error);
        }
      })(),
    );
  }
  const older = await Promise.race([Promise.all(endings.slice(0, -1)), sleep(10_000)]);
  for (const channel of channels) channel[Symbol.dispose]();
  expect(older).toEqual(Array.from({ length: 5 }, () => 'LISTENER_REPLACED'));
});

test('both replicas of each service did their part', async () => {
  const idle: string[] = [];
  for (const name of world.processes.keys()) if ((await callsAt(name)) === 0) idle.push(name);
  expect(idle).toEqual([]);
});
