import type { Clock } from '@roost/core/time';
import { printId } from '@roost/core/ids';
import { doChores } from './chores.ts';
import { Tokens } from './tokens.ts';
import { connectTwo, Witness } from './witness.ts';
import type { World } from './world.ts';

/** Three people who did everything that clients do, with all that they called written down. */
export interface Story {
  readonly people: readonly [owner: Witness, stays: Witness, leaves: Witness];
  /** A group in which the first two still are. */
  readonly group: string;
  /** The conversation of the first two. */
  readonly dm: string;
  /** Pays for what the test calls by itself. */
  readonly tokens: Tokens;
}

/**
 * Registrations, connections, one of them rejected first, a group with a title, messages in all
 * directions, a member removed, a member gone by itself, and what clients seldom do.
 */
export async function tell(
  world: Pick<World, 'door'>,
  prefix: string,
  clock?: Clock,
): Promise<Story> {
  const come = (name: string): Promise<Witness> =>
    Witness.come(world.door, `${prefix}-${name}`, clock);
  const [owner, stays, leaves] = await Promise.all([come('olga'), come('stan'), come('lena')]);
  await leaves.client.connect(owner.name);
  await owner.until('request');
  await owner.client.reject();
  await leaves.until('rejected');
  const dm = await connectTwo(owner, stays);
  await connectTwo(owner, leaves);

  const group = await owner.client.createGroup(`${prefix}: what nobody may read`, [stays.name]);
  await stays.until('joined');
  await owner.client.add(group, [leaves.name]);
  await leaves.until('joined');
  await say(owner, group, [stays, leaves]);
  await say(leaves, group, [owner, stays]);
  await say(stays, dm, [owner]);
  await leaves.client.leave(group);
  await owner.until('left');
  await stays.until('left');
  await owner.client.setTitle(group, `${prefix}: what nobody should read`);
  await stays.until('title');

  const other = await owner.client.createGroup(`${prefix}: a short one`, [leaves.name]);
  await leaves.until('joined', ({ chat }) => chat === other);
  await owner.client.remove(other, leaves.name);
  await leaves.until('gone', ({ chat }) => chat === other);

  const tokens = await Tokens.of(owner, world.door);
  const last = (await owner.groups()).filter(({ id }) => printId(id) === other);
  await doChores(owner, tokens, last);
  return { people: [owner, stays, leaves], group, dm, tokens };
}

async function say(speaker: Witness, chat: string, others: readonly Witness[]): Promise<void> {
  const text = `${speaker.name} speaks`;
  const { sent } = await speaker.client.send(chat, text);
  await sent;
  await Promise.all(others.map((each) => each.hears(text)));
}
