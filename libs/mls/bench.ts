import { concat } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { nodeCrypto } from '@roost/crypto/node';
import type { Proposal } from 'ts-mls/proposal.js';
import { parseHandshake } from './src/message.ts';
import { createPublicGroup, treeBytes } from './src/public-group.ts';
import type { PublicGroup } from './src/public-group.ts';
import { stageCommit } from './src/stage.ts';
import { decodePublicGroup, encodePublicGroup } from './src/stored.ts';
import { hostileMessages } from './src/testing-hostile.ts';
import { makeCommit, makeExternalCommit, newActor, settledGroup } from './src/testing.ts';
import type { MadeCommit } from './src/testing.ts';

/**
 * Prints what a commit costs the server, in milliseconds of CPU, by the size of the group, and what
 * hostile messages cost before anybody's signature is verified: `node libs/mls/bench.ts [sizes…]`. The groups are settled: no path encrypts to single leaves.
 */
async function main(sizes: readonly number[]): Promise<void> {
  const table = new Map<string, number[]>();
  for (const size of sizes) {
    process.stderr.write(`building a group of ${size}\n`);
    for (const [what, ms] of await measure(size)) table.set(what, [...(table.get(what) ?? []), ms]);
  }
  process.stdout.write(
    `${''.padEnd(28)}${sizes.map((size) => `N=${size}`.padStart(10)).join('')}\n`,
  );
  for (const [what, tls] of hostileMessages()) {
    table.set(`2 MiB: ${what}`, [cpuMs(5, () => parseAnything(tls))]);
  }
  for (const [what, figures] of table) {
    const cells = figures.map((ms) => ms.toFixed(2).padStart(10)).join('');
    process.stdout.write(`${what.padEnd(28)}${cells}\n`);
  }
}

async function measure(size: number): Promise<[string, number][]> {
  const { group, founder } = await settledGroup(nodeCrypto, size);
  const newcomer = await newActor(nodeCrypto, 'newcomer');
  const add: Proposal = { proposalType: 'add', add: { keyPackage: newcomer.keyPackage } };
  const remove: Proposal = { proposalType: 'remove', remove: { removed: size - 1 } };
  const commits: [string, MadeCommit][] = [
    ['update', await makeCommit(founder)],
    ['add one', await makeCommit(founder, [add])],
    ['remove one', await makeCommit(founder, [remove])],
    ['external commit', await makeExternalCommit(newcomer, group)],
  ];
  const snapshot = encodePublicGroup(group);
  const tree = treeBytes(group);
  const [, update] = commits[0] ?? [];
  return [
    ['verify a signature', cpuMs(100, verifying(group, commits[0]?.[1]))],
    ...commits.map(([what, made]): [string, number] => [
      what,
      cpuMs(100, () => stageMade(group, made)),
    ]),
    ['encode snapshot', cpuMs(20, () => encodePublicGroup(group))],
    ['decode snapshot', cpuMs(20, () => decodePublicGroup(nodeCrypto, snapshot))],
    [
      'decode snapshot, update',
      cpuMs(20, () => update && stageMade(decodePublicGroup(nodeCrypto, snapshot), update)),
    ],
    ['encode tree', cpuMs(20, () => treeBytes(group))],
    [
      'validate from GroupInfo',
      cpuMs(3, () => createPublicGroup(nodeCrypto, group.groupInfoTls, tree, Date.now())),
    ],
    ['snapshot, KiB', snapshot.length / 1024],
  ];
}

/** What no server can do without: the signature of the commit's sender, and nothing else. */
function verifying(group: PublicGroup, made: MadeCommit | undefined): () => void {
  if (made === undefined) throw new Error('there is a commit');
  const { signedPart, signature } = parseHandshake(made.tls);
  const publicKey = group.tree.leafAt(0)?.signatureKey ?? new Uint8Array(0);
  const content = concat(signedPart, group.contextTls);
  const signed = { publicKey, label: 'FramedContentTBS', content, signature };
  return () => {
    if (!group.suite.verify(signed)) throw new Error('the signature holds');
  };
}

function parseAnything(tls: Uint8Array): void {
  try {
    parseHandshake(tls);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
  }
}

function stageMade(group: PublicGroup, made: MadeCommit): void {
  const message = parseHandshake(made.tls);
  if (message.kind !== 'commit') throw new Error('it is a commit');
  stageCommit(group, message, { ...made, now: Date.now() });
}

/** The median of CPU time per run, the first runs apart. */
function cpuMs(runs: number, run: () => unknown): number {
  for (let warm = 0; warm < runs / 4; warm++) run();
  const times: number[] = [];
  for (let round = 0; round < runs; round++) {
    const before = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(before);
    times.push((user + system) / 1000);
  }
  return times.toSorted((x, y) => x - y)[Math.floor(times.length / 2)] ?? 0;
}

const sizes = process.argv.slice(2).map(Number);
await main(sizes.length > 0 ? sizes : [10, 100, 1000]);
