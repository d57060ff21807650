import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { startEmbedded } from '@roost/postgres/embedded';
import { temporaryFolder } from './house.ts';
import { childrenOf, residentBytes, round, type Row } from './measure.ts';
import type { Bench, Scenario } from './scenario.ts';

/** The homeserver as its user starts it: a process of its own, on a new folder and on an existing one. */
export const start: Scenario = {
  name: 'start',
  about: 'time from start to ready, and idle memory',
  async run(bench) {
    const { cleanUp, quick } = bench;
    const folder = cleanUp.use(temporaryFolder());
    const home = `${folder.path}/home`;
    bench.progress('first start');
    const first = await startAndStop(bench, home);
    bench.progress('later starts');
    const later = [await startAndStop(bench, home)];
    if (!quick) later.push(await startAndStop(bench, home), await startAndStop(bench, home));
    const bare = await startDatabase(home);
    const median = later.toSorted((a, b) => a.seconds - b.seconds)[Math.floor(later.length / 2)];
    const { seconds, node, postgres } = median ?? first;
    const rows: Row[] = [
      { what: 'first start', figure: `${round(first.seconds)} s` },
      {
        what: 'start with an existing folder',
        figure: `${round(seconds)} s`,
        bare: `PostgreSQL alone ${round(bare)} s`,
        ...{ ratio: seconds / bare, target: '<= 3 s', met: seconds <= 3 },
      },
      {
        what: 'memory when idle',
        figure: `Node ${round(node / 2 ** 20)} MiB, PostgreSQL ${round(postgres / 2 ** 20)} MiB`,
      },
    ];
    return rows;
  },
};

const MAIN = new URL('../../services/homeserver/src/main.ts', import.meta.url);
/** After the start, until its garbage is gone and its pools are quiet. */
const IDLE_MS = 2_000;

interface Started {
  readonly seconds: number;
  readonly node: number;
  readonly postgres: number;
}

async function startAndStop({ cleanUp }: Bench, home: string): Promise<Started> {
  const args = [MAIN.pathname, '--development', '--data', home, '--listen', '127.0.0.1:0'];
  const began = performance.now();
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended;
  };
  cleanUp.defer(stop);
  try {
    let isReady = false;
    for await (const line of createInterface({ input: child.stdout })) {
      isReady = line.startsWith('ready: ');
      if (isReady) break;
    }
    const seconds = (performance.now() - began) / 1_000;
    if (!isReady) throw new Error('the homeserver did not start');
    child.stdout.resume();
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
    const pid = child.pid ?? 0;
    const database = childrenOf(pid).flatMap((each) => [each, ...childrenOf(each)]);
    return { seconds, node: residentBytes([pid]), postgres: residentBytes(database) };
  } finally {
    await stop();
  }
}

/** What of the time is PostgreSQL's own. */
async function startDatabase(home: string): Promise<number> {
  const began = performance.now();
  const cluster = await startEmbedded({ home, log: () => {} });
  const seconds = (performance.now() - began) / 1_000;
  await cluster.stop();
  return seconds;
}
