// Invariant 12 for what lies on the way: an event that nobody can decode, in the outbox of the DS, in a
// queue, or made so by a member, is set aside alone. What is behind it arrives, in its queue, in its
// group and elsewhere, and what it held is fetched from the log where the log has it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { servicesOf } from '@roost/client/calls';
import { openNodeClient } from '@roost/client/node/open';
import { printId } from '@roost/core/ids';
import { sleep, systemClock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { serverOf } from '@roost/e2e/door';
import { CutBus } from '@roost/e2e/cut-bus';
import { Tokens } from '@roost/e2e/tokens';
import { connectTwo, Witness } from '@roost/e2e/witness';
import { AllInOne } from '@roost/e2e/all-in-one';
import { SendMessageRequest } from '@roost/proto/roost/delivery/v1/delivery';

const bus = new CutBus();
const all = new AsyncDisposableStack();
let world: AllInOne;
let olga: Witness;
let stan: Witness;
let dm: string;
let group: string;

beforeAll(async () => {
  world = all.use(await AllInOne.open({ bus }));
  olga = all.use(await Witness.come(world.door, 'olga'));
  stan = all.use(await Witness.come(world.door, 'stan'));
  dm = await connectTwo(olga, stan);
  group = await olga.client.createGroup('The group', ['stan']);
  await stan.until('joined', ({ chat }) => chat === group);
});
afterAll(async () => {
  await all.disposeAsync();
});

const uuidOf = (chat: string): string => chat.split('@')[0] ?? '';

async function say(who: Witness, chat: string, text: string): Promise<void> {
  const { sent } = await who.client.send(chat, text);
  await sent;
}

async function outboxSize(): Promise<number> {
  return (await world.databases.ds.query({ text: 'SELECT FROM outbox' })).length;
}

async function delivered(): Promise<void> {
  while ((await outboxSize()) > 0) await sleep(10);
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await sleep(10);
}

test('in the outbox: it is buried alone, and the log gives what it held', async () => {
  await delivered();
  bus.isCut = true;
  await olga.client.setTitle(group, 'Another title');
  await say(olga, group, 'behind it');
  await say(olga, dm, 'elsewhere');
  const poisoned = await world.databases.ds.query({
    text: `UPDATE outbox SET sealed = set_byte(sealed, 40, get_byte(sealed, 40) # 255)
            WHERE (group_id, n) = (SELECT group_id, min(n) FROM outbox
                                    WHERE group_id = $1 GROUP BY group_id)
           RETURNING n`,
    values: [uuidOf(group)],
  });
  expect(poisoned).toHaveLength(1);
  expect(await outboxSize()).toBe(3);
  bus.isCut = false;

  await stan.hears('elsewhere');
  await stan.hears('behind it');
  await until(() => stan.client.chat(group)?.name === 'Another title');
  await delivered();
  const letters = await world.databases.qs.query({ text: 'SELECT kind FROM dead_letters' });
  expect(letters).toHaveLength(1);
  await say(stan, group, 'and on it goes');
  await olga.hears('and on it goes');
});

test('by a member: what nobody can open is passed over, and its group goes on', async () => {
  await say(olga, group, 'well said');
  const last = olga.recorder.of('SendMessage').at(-1);
  const request = SendMessageRequest.decode(last?.request ?? new Uint8Array(0));
  const tls = request.message?.tls ?? new Uint8Array(0);
  const flipped = tls.with(tls.length - 1, (tls.at(-1) ?? 0) ^ 1);
  const leaf = (await olga.groups()).find(({ id }) => printId(id) === group)?.leaf;
  if (leaf === undefined) throw new Error('olga is in the group');
  const { publicKey, privateKey } = leaf.signing;
  const signing = { crypto, clock: systemClock, audience: world.domain };
  const tokens = await Tokens.of(olga, world.door);
  const { delivery } = servicesOf(olga.recorder, signing);
  for (let count = 0; count < 3; count++) {
    const garbage = flipped.with(tls.length - 2 - count, 0);
    const options = {
      sign: { key: { kind: 'leaf' as const, publicKey }, privateKey },
      token: await tokens.takeRaw('general'),
    };
    await delivery.sendMessage({ ...request, message: { tls: garbage } }, options);
  }
  await say(olga, group, 'after the garbage');
  await stan.hears('after the garbage');
  await say(stan, group, 'heard');
  await olga.hears('heard');
});

test('in a queue: the ones behind it are read, and the log gives the commit that it held', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'roost-poison-'));
  all.defer(async () => await rm(folder, { recursive: true }));
  const server = serverOf(world.door);
  const open = async () =>
    await openNodeClient({ folder: join(folder, 'lou'), server, userName: 'lou' });
  let room = '';
  {
    await using lou = await open();
    await olga.client.connect('lou');
    await until(() => lou.client.requests().length > 0);
    await lou.client.accept();
    await olga.until('connected', ({ name }) => name.startsWith('lou@'));
    room = await olga.client.createGroup('With lou', ['lou']);
    await until(() => lou.client.chat(room)?.isOpen === true);
  }
  await delivered();
  const runs = async () =>
    await world.databases.qs.query<{ client: bigint; first: bigint }>({
      text: 'SELECT client_id AS client, first_sequence AS first FROM runs ORDER BY 1, 2',
    });
  const before = await runs();
  const acts = [
    async () => await say(olga, room, 'one'),
    async () => await olga.client.setTitle(room, 'Without lou'),
    async () => await say(olga, room, 'two'),
    async () => await say(olga, room, 'three'),
  ];
  for (const act of acts) {
    await act();
    await delivered();
  }
  const isOld = ({ client, first }: (typeof before)[number]): boolean =>
    before.some((each) => each.client === client && each.first === first);
  const stored = (await runs()).filter((run) => !isOld(run));
  expect(stored).toHaveLength(acts.length);
  for (const at of [1, 2]) {
    await world.databases.qs.query({
      text: `UPDATE runs SET ciphertext = set_byte(ciphertext, 9, get_byte(ciphertext, 9) # 255)
              WHERE client_id = $1 AND first_sequence = $2`,
      values: [stored[at]?.client, stored[at]?.first],
    });
  }

  await using lou = await open();
  const heard = async (): Promise<string[]> =>
    (await lou.client.history(room, 100)).map(({ text }) => text);
  while (!(await heard()).includes('three')) await sleep(20);
  expect(await heard()).toEqual(['one', 'three']);
  expect(lou.client.chat(room)?.name).toBe('Without lou');
  await lou.client.send(room, 'here again');
  await olga.hears('here again');
});
