import { expect, test } from '@jest/globals';
import { authorizeRemoval } from './authorize-proposal.ts';
import type { Removal } from './authorize-commit.ts';
import type { Form } from './authorize.ts';
import { withRole } from './room.ts';
import type { RoomState } from './room.ts';
import { foundingRoom, templateNamed } from './templates.ts';
import { idOf } from './testing-vectors.ts';

const [ann, ben, cid] = [idOf('ann'), idOf('ben'), idOf('cid')];
/** Ann has two clients, Ben two, Cid one. */
const members = new Map([ann, ann, ben, ben, cid].map((who, at) => [at, who]));
const group = foundingRoom(templateNamed('cooperative'), ann, new Uint8Array(0));
const dm = foundingRoom(templateNamed('dm'), ann, new Uint8Array(0));

const by = (who: string, leafIndex: number, form: Form = 'by-reference'): Removal => ({
  leafIndex,
  by: { who, form },
});
const hub = (leafIndex: number): Removal => by('hub', leafIndex, 'external');

const cases: [string, RoomState, Removal[], Removal, string | undefined][] = [
  ['one client leaves', group, [], by(ben, 2), undefined],
  ['the last client leaves, and with it its user', group, [by(ben, 2)], by(ben, 3), undefined],
  ['the last client of the last owner leaves', group, [by(ann, 0)], by(ann, 1), 'the last owner'],
  ['one client of the last owner leaves', group, [], by(ann, 1), undefined],
  ['an owner removes the first of two clients', group, [], by(ann, 2), undefined],
  ['anybody removes the first of two clients', group, [], by(cid, 2), 'does not let you remove'],
  ['somebody removes a client of a dm', dm, [], by(ann, 2), 'between two'],
  ['an owner removes the last client', group, [by(ben, 2)], by(ann, 3), undefined],
  ['anybody removes the last client', group, [by(ben, 2)], by(cid, 3), 'does not let you remove'],
  ['an owner removes somebody with one client', group, [], by(ann, 4), undefined],
  ['the hub removes a dead client', group, [], hub(2), undefined],
  ['the hub removes a dead user', group, [hub(2)], hub(3), undefined],
  ['the hub removes a dead user by two ways', group, [by(ben, 2)], hub(3), undefined],
  ['the hub removes the last owner', group, [hub(0)], hub(1), 'the last owner'],
  ['the hub removes a dead client of a dm', dm, [], hub(2), undefined],
  ['the hub removes a dead user of a dm', dm, [hub(2)], hub(3), 'one of them'],
  ['the hub removes the rest of a user of a dm', dm, [by(ben, 2)], hub(3), 'one of them'],
  ['a client leaves a dm that is the last', dm, [hub(2)], by(ben, 3), 'between two'],
  [
    'an owner leaves whom another owner outlives',
    withRole(group, cid, 'owner'),
    [by(ann, 0)],
    by(ann, 1),
    undefined,
  ],
  [
    'an owner leaves while the other leaves',
    withRole(group, cid, 'owner'),
    [by(cid, 4), by(ann, 0)],
    by(ann, 1),
    'the last owner',
  ],
  [
    'the last one leaves, and nobody is there to let it go',
    group,
    [by(ben, 2), by(ben, 3), by(cid, 4), by(ann, 0)],
    by(ann, 1),
    'nobody stays',
  ],
];

test.each(cases)('%s', (...[, room, pending, removal, refusal]) => {
  const propose = () => authorizeRemoval({ room, members, pending }, removal);
  if (refusal === undefined) expect(propose).not.toThrow();
  else expect(propose).toThrow(refusal);
});
