import { expect, test } from '@jest/globals';
import { decodeGroupEvent } from '@roost/bus/group-event';
import { receive } from '@roost/mls/testing';
import type { CommitResponse } from '@roost/proto/roost/delivery/v1/delivery';
import { openHouse, quiet } from './testing/house.fixture.ts';
import type { House } from './testing/house.fixture.ts';
import { catchUp, commit, epochOf, found, prepare } from './testing/deeds.fixture.ts';
import { asMember, person } from './testing/people.fixture.ts';
import type { Person, Room } from './testing/people.fixture.ts';

/** Takes in what a loser was told, so that it stands where the winner does. */
async function rebase(who: Person, { result }: CommitResponse): Promise<void> {
  if (result?.$case !== 'conflict') throw new Error('this one did not lose');
  for (const { event } of result.value.events) {
    const heard = decodeGroupEvent(event);
    if (heard.kind === 'commit') await receive(who.actor, heard.mlsMessage);
  }
}

/** All of them commit at once; gives who won. */
async function race(house: House, people: readonly Person[], room: Room): Promise<Person> {
  const before = epochOf(people[0] ?? none()).epoch;
  const prepared = await Promise.all(people.map(async (who) => await prepare(who, room)));
  const answers = await Promise.all(
    people.map(async (who, at) => {
      const { request } = prepared[at] ?? none();
      return await house.client.commit(request, asMember(who));
    }),
  );
  const winners = people.filter((_, at) => answers[at]?.result?.$case === 'accepted');
  expect(winners).toHaveLength(1);
  for (const [at, who] of people.entries()) {
    const answer = answers[at] ?? none();
    if (answer.result?.$case === 'accepted') {
      who.actor.state = (prepared[at] ?? none()).made.state;
      expect(answer.result.value.epoch).toBe(before + 1n);
    } else {
      expect(answer.result?.value.currentEpoch).toBe(before + 1n);
      await rebase(who, answer);
    }
  }
  return winners[0] ?? none();
}

test('of many commits of one epoch one wins, and all others rebase onto it', async () => {
  await using house = await openHouse();
  const people = await Promise.all(
    Array.from({ length: 16 }, async (_, at) => await person(`member ${at}`)),
  );
  const [alice = none(), ...others] = people;
  const room = await found(house, alice);
  await commit(house, alice, room, { add: others });
  await quiet(house);
  for (const who of others) await catchUp(house, who, room);

  const taken = new Map<Person, number>();
  for (let round = 0; round < 3; round++) {
    const winner = await race(house, people, room);
    taken.set(winner, (taken.get(winner) ?? 0) + 1);
    for (const who of people) expect(epochOf(who)).toEqual(epochOf(winner));
  }
  // Everybody else gets each winning commit through its queue too, once.
  await quiet(house);
  for (const who of others) {
    const commits = house.receiver.queueOf(who.handle).filter(({ kind }) => kind === 'commit');
    expect(commits.map(({ epoch }) => epoch)).toHaveLength(3 - (taken.get(who) ?? 0));
    expect(new Set(commits.map(({ epoch }) => epoch)).size).toBe(commits.length);
  }
});

test('two replicas of the DS agree on one winner', async () => {
  await using house = await openHouse();
  await using other = await openHouse({ database: house.database, receiver: house.receiver });
  const people = await Promise.all(
    Array.from({ length: 8 }, async (_, at) => await person(`member ${at}`)),
  );
  const [alice = none(), ...others] = people;
  const room = await found(house, alice);
  await commit(house, alice, room, { add: others });
  await quiet(house);
  for (const who of others) await catchUp(house, who, room);
  for (let round = 0; round < 3; round++) {
    const prepared = await Promise.all(people.map(async (who) => await prepare(who, room)));
    const answers = await Promise.all(
      people.map(async (who, at) => {
        const { client } = at % 2 === 0 ? house : other;
        return await client.commit((prepared[at] ?? none()).request, asMember(who));
      }),
    );
    expect(answers.filter(({ result }) => result?.$case === 'accepted')).toHaveLength(1);
    for (const [at, who] of people.entries()) {
      const answer = answers[at] ?? none();
      if (answer.result?.$case === 'accepted') who.actor.state = prepared[at]?.made.state;
      else await rebase(who, answer);
    }
    for (const who of people) expect(epochOf(who)).toEqual(epochOf(alice));
  }
});

function none(): never {
  throw new Error('there is one');
}
