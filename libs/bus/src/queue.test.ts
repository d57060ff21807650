import { expect, test } from '@jest/globals';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import fc from 'fast-check';
import {
  decodeQueueBatch,
  emptyState,
  encodeQueueBatch,
  openRun,
  passOver,
  sealBatch,
  sealSecret,
  type QueueItem,
  type QueueRun,
} from './queue.ts';

const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const item: fc.Arbitrary<QueueItem> = fc.oneof(
  fc.record({ kind: fc.constant('event'), storedAtMs: u64, groupEvent: fc.uint8Array() }),
  fc.record({ kind: fc.constant('gap'), storedAtMs: u64, events: u64 }),
  fc.record({ kind: fc.constant('low-water'), storedAtMs: u64, available: fc.nat() }),
);
const items = fc.array(item, { minLength: 1, maxLength: 20 });
const queue = crypto.x25519.generate();
const start = { next: 0n, state: emptyState };

/** A queue as the QS fills it: `undefined` stands for a fresh secret. */
function filled(runs: readonly (readonly QueueItem[] | undefined)[]): QueueRun[] {
  let state = emptyState;
  let firstSequence = 0n;
  return runs.map((each) => {
    const count = each?.length ?? 1;
    const sealed =
      each === undefined
        ? sealSecret(crypto, state, queue.publicKey, firstSequence)
        : sealBatch(crypto, state, { firstSequence, count }, encodeQueueBatch(each));
    state = sealed.state;
    firstSequence += BigInt(count);
    return sealed.run;
  });
}

function read(runs: readonly QueueRun[], from: Parameters<typeof openRun>[1] = start) {
  let reader = from;
  const all: QueueItem[] = [];
  for (const run of runs) {
    const opened = openRun(crypto, reader, queue.privateKey, run);
    reader = opened;
    all.push(...opened.items);
  }
  return { reader, items: all };
}

test('a batch comes back as it was', () => {
  fc.assert(fc.property(items, (i) => expect(decodeQueueBatch(encodeQueueBatch(i))).toEqual(i)));
});

test('a reader gets what was stored, through any number of refreshes', () => {
  const runs = fc.array(fc.option(items, { nil: undefined }), { maxLength: 8 });
  fc.assert(
    fc.property(runs, (stored) => {
      const all = [undefined, ...stored];
      const { reader, items: got } = read(filled(all));
      expect(got).toEqual(all.flatMap((each) => each ?? []));
      expect(reader.next).toBe(all.reduce((sum, each) => sum + BigInt(each?.length ?? 1), 0n));
    }),
  );
});

const note: QueueItem = { kind: 'gap', storedAtMs: 0n, events: 1n };

test('a run opens once, in its place, as it is, and with no earlier or later state', () => {
  const [secret, first, second] = filled([undefined, [note], [note]]) as [
    QueueRun,
    QueueRun,
    QueueRun,
  ];
  const { reader } = read([secret]);
  const after = read([secret, first]).reader;
  expect(() => openRun(crypto, after, queue.privateKey, first)).toThrow('read before');
  expect(() => openRun(crypto, reader, queue.privateKey, second)).toThrow('runs are missing');
  expect(() => openRun(crypto, { ...reader, next: 2n }, queue.privateKey, second)).toThrow(
    'not open',
  );
  expect(() => openRun(crypto, { ...after, next: 1n }, queue.privateKey, first)).toThrow(
    'not open',
  );
  const longer = { ...first, count: 2 };
  expect(() => openRun(crypto, reader, queue.privateKey, longer)).toThrow('not open');
});

test('behind a run that does not open the next ones do', () => {
  const [secret, first, second, third] = filled([undefined, [note], [note, note], [note]]) as [
    QueueRun,
    QueueRun,
    QueueRun,
    QueueRun,
  ];
  const { reader } = read([secret, first]);
  const broken = { ...second, ciphertext: second.ciphertext.with(9, ~(second.ciphertext[9] ?? 0)) };
  expect(() => openRun(crypto, reader, queue.privateKey, broken)).toThrow('not open');
  expect(read([third], passOver(crypto, reader, broken)).items).toEqual([note]);
});

test('an altered run is MALFORMED', () => {
  const [secret, first] = filled([undefined, [note]]) as [QueueRun, QueueRun];
  const { reader } = read([secret]);
  for (const [run, from] of [
    [secret, start],
    [first, reader],
  ] as const) {
    for (let at = 0; at < run.ciphertext.length; at++) {
      const ciphertext = Uint8Array.from(run.ciphertext);
      ciphertext[at] = (ciphertext[at] ?? 0) ^ 4;
      const opening = () => openRun(crypto, from, queue.privateKey, { ...run, ciphertext });
      expect(opening).toThrow('QueueRun');
    }
  }
});

test('after runs that expired a reader goes on with the secret that begins anew', () => {
  const { reader } = read(filled([undefined, [note]]));
  const anew = sealSecret(crypto, emptyState, queue.publicKey, 9n);
  const batch = encodeQueueBatch([note]);
  const next = sealBatch(crypto, anew.state, { firstSequence: 10n, count: 1 }, batch);
  expect(read([anew.run, next.run], reader).items).toEqual([note]);
});

test('the state after a refresh does not follow from the state before', () => {
  const once = sealSecret(crypto, emptyState, queue.publicKey, 0n);
  const again = sealSecret(crypto, emptyState, queue.publicKey, 0n);
  expect(once.state).not.toEqual(again.state);
});
