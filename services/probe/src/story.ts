import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@roost/client/client';
import { assert } from '@roost/core/assert';
import type { Home, ProbeConfig } from './config.ts';
import { Heard } from './heard.ts';
import { registerUsers } from './users.ts';

type Say = (line: string) => void;

/** Somebody, and what that one hears. */
export interface Side {
  readonly client: Client;
  readonly heard: Heard;
}

/** Two users who have never met write to each other, in a conversation and in a group; from two homeservers where there are two. */
export async function tellStory(config: ProbeConfig, say: Say): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'roost-probe-'));
  await using ends = new AsyncDisposableStack();
  ends.defer(async () => await rm(folder, { recursive: true, force: true }));
  const come = async (home: Home, name: string): Promise<Side> => {
    const registering = { config: home, folder: join(folder, name), count: 1 };
    const [user] = await registerUsers(registering);
    assert(user !== undefined, 'one was asked for');
    const { client } = ends.use(user);
    return { client, heard: new Heard(client) };
  };
  const alice = await come(config, 'alice');
  const bob = await come(config.peer ?? config, 'bob');
  const at = config.peer === undefined ? '' : `, at ${config.domain} and ${config.peer.domain}`;
  say(`two users are registered, and have drawn tokens${at}`);

  const dialogue = await acquaint(alice, bob);
  say('they are connected');
  await alice.client.send(dialogue, 'hello');
  const { chat } = await bob.heard.hears('message', ({ text }) => text === 'hello');
  await bob.client.send(chat, 'hello yourself');
  await alice.heard.hears('message', ({ text }) => text === 'hello yourself');
  say('each has heard the other');

  const group = await alice.client.createGroup('probe', [bob.client.userName]);
  const joined = await bob.heard.hears('joined', () => true);
  await alice.client.send(group, 'in a group');
  await bob.heard.hears(
    'message',
    (event) => event.chat === joined.chat && event.text === 'in a group',
  );
  await bob.client.leave(joined.chat);
  say('a group was made, written to and left');
}

/** Makes two who have never met able to write to each other; returns the chat of the first. */
export async function acquaint(first: Side, second: Side): Promise<string> {
  const chat = await first.client.connect(second.client.userName);
  await second.heard.hears('request', ({ name }) => name === first.client.userName);
  await second.client.accept(first.client.userName);
  await first.heard.hears('connected', ({ name }) => name === second.client.userName);
  return chat;
}
