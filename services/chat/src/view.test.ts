import { expect, test } from '@jest/globals';
import type { ClientEvent } from '@roost/client/client';
import {
  chatLine,
  escaped,
  eventLine,
  labelsOf,
  membersLine,
  messageLine,
  unfinishedLine,
} from './view.ts';

const scene = {
  domain: 'example.org',
  self: 'alice@example.org',
  label: (chat: string) => ({ d: 'bob', g: 'Trip' })[chat] ?? '',
};

const plain = {
  isOpen: true,
  isSilenced: false,
  isBlocked: false,
  notifications: { kind: 'all' },
} as const;

test('a message is one line, whatever is in it', () => {
  const event: ClientEvent = {
    kind: 'message',
    chat: 'g',
    id: '00',
    sender: 'bob@example.org',
    text: 'one\ntwo\tthree\r',
    acceptedAtMs: 1,
  };
  expect(eventLine(event, scene)).toBe('[Trip] bob: one\\ntwo\\tthree\\r');
  expect(eventLine({ ...event, sender: 'bob@other.org', text: 'x' }, scene)).toBe(
    '[Trip] bob@other.org: x',
  );
});

test('nothing in a text steers the terminal or the direction of writing', () => {
  expect(escaped('\u001b[31mred\u0000\u007f\u009b')).toBe('\\x1b[31mred\\x00\\x7f\\x9b');
  expect(escaped('a\u202eb\u2028c')).toBe('a\\u202eb\\u2028c');
  expect(escaped('ünïcödé 🙂 C:\\new')).toBe('ünïcödé 🙂 C:\\new');
  expect(messageLine('a\nb', 'c', 'd')).toBe('[a\\nb] c: d');
});

const noted: readonly (readonly [event: ClientEvent, line: string])[] = [
  [
    { kind: 'request', name: 'bob@example.org' },
    '* bob asks to connect: /accept bob or /reject bob',
  ],
  [{ kind: 'connected', name: 'bob@example.org', chat: 'd' }, '* you are connected with bob'],
  [{ kind: 'rejected', name: 'bob@example.org' }, '* bob rejected your request'],
  [{ kind: 'joined', chat: 'g', title: 'Trip', by: 'bob@example.org' }, '* bob added you to Trip'],
  [
    { kind: 'added', chat: 'g', name: 'carol@example.org', by: 'alice@example.org' },
    '* you added carol to Trip',
  ],
  [
    { kind: 'removed', chat: 'g', name: 'carol@example.org', by: 'bob@example.org' },
    '* bob removed carol from Trip',
  ],
  [{ kind: 'left', chat: 'g', name: 'carol@example.org' }, '* carol left Trip'],
  [{ kind: 'gone', chat: 'g', title: 'Trip' }, '* you are no longer in Trip'],
  [
    { kind: 'gone', chat: 'g', title: 'Trip', by: 'bob@example.org' },
    '* bob removed you from Trip',
  ],
  [
    { kind: 'title', chat: 'g', title: 'Long\ntrip', by: 'bob@example.org' },
    '* bob renamed the group to Long\\ntrip',
  ],
  [
    { kind: 'request', name: 'bob@b.example' },
    '* bob@b.example asks to connect: /accept bob@b.example or /reject bob@b.example',
  ],
  [
    { kind: 'peer-away', domain: 'b.example' },
    '* b.example does not answer; what is for it is kept and goes on by itself',
  ],
  [{ kind: 'peer-back', domain: 'b.example' }, '* b.example answers again'],
  [
    { kind: 'forged', chat: 'g' },
    '* somebody in Trip is not who they say; nothing is sent until they are removed',
  ],
  [
    { kind: 'unjudged', chat: 'g', domain: 'c.example' },
    '* your homeserver does not speak with c.example: what you write in Trip waits until it does, or until its people have left; /remove @c.example removes them',
  ],
  [
    { kind: 'failed', chat: 'd', sentence: 'too long', text: 'hello' },
    '* not sent to bob: hello (too long)',
  ],
];

test.each(noted)('%j is one line that begins with a star', (event, line) => {
  expect(eventLine(event, scene)).toBe(line);
});

test('chats that are called the same are told apart', () => {
  const chat = { ...plain, kind: 'group' } as const;
  const chats = [
    { ...chat, id: '1', name: 'Trip' },
    { ...chat, id: '2', kind: 'dm' as const, name: 'bob@example.org' },
    { ...chat, id: '3', name: 'Trip' },
  ];
  expect([...labelsOf(chats, 'example.org').values()]).toEqual(['Trip', 'bob', 'Trip (2)']);
  expect(chatLine('Trip', { ...chat, id: '1', name: 'Trip' }, true)).toBe('* [Trip] (current)');
});

test('what is set for a chat is listed with it', () => {
  const chat = { ...plain, kind: 'dm', id: '1', name: 'bob@example.org' } as const;
  const line = (set: object) => chatLine('bob', { ...chat, ...set }, false);
  expect(line({ isSilenced: true })).toBe('* [bob] (silenced)');
  expect(line({ isSilenced: true, isBlocked: true, isOpen: false })).toBe('* [bob] (blocked)');
  expect(line({ notifications: { kind: 'silent' } })).toBe('* [bob] (muted)');
  const untilMs = new Date(2026, 10, 21, 9, 59, 30).getTime();
  expect(line({ notifications: { kind: 'muted', untilMs } })).toBe(
    '* [bob] (muted until 2026-11-21 10:00)',
  );
});

test('members are listed with what they are', () => {
  const line = membersLine(
    'Trip',
    [
      { name: 'bob@example.org', role: 'ordinary', isOwner: false, isSelf: false },
      { name: 'carol@example.org', role: 'moderator', isOwner: false, isSelf: false },
      { name: 'alice@example.org', role: 'owner', isOwner: true, isSelf: true },
    ],
    scene,
  );
  expect(line).toBe('* in Trip: alice (you, owner), bob, carol (moderator)');
});

test('whom nobody can judge is not called a liar', () => {
  const nobody = { name: '', role: 'ordinary', isOwner: false, isSelf: false } as const;
  const line = membersLine('Trip', [nobody, { ...nobody, unjudged: 'c.example' }], scene);
  expect(line).toBe('* in Trip: somebody of c.example, somebody who is not who they say');
});

test('what is unsent is named', () => {
  expect(unfinishedLine({ kind: 'send', chat: 'd', text: 'a\nb' }, scene)).toBe(
    '* not sent yet to bob: a\\nb',
  );
  expect(unfinishedLine({ kind: 'connect', chat: 'd' }, scene)).toContain('a request to connect');
});
