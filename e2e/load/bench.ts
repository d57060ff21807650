import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { CannotStart } from '@roost/core/cannot-start';
import { runMain } from '@roost/service/run';
import { shutdownSignal } from '@roost/service/shutdown';
import { helpOf, type Options, parseCommandLine } from './command-line.ts';
import { commits } from './commits.ts';
import { deliveries } from './deliveries.ts';
import { DISTRIBUTED, measureDistributed } from './distributed/distributed.ts';
import { federation } from './federated.ts';
import { groupCost } from './group-cost.ts';
import { groupSize } from './group-size.ts';
import { latency } from './latency.ts';
import { listeners } from './listeners.ts';
import { renderTable, type Row, round } from './measure.ts';
import type { Scenario } from './scenario.ts';
import { sends } from './sends.ts';
import { start } from './start.ts';
import { tokens } from './tokens.ts';
import { Workbench } from './workbench.ts';

/** In this order: memory is measured while little of it was used. */
const SCENARIOS: readonly Scenario[] = [
  ...[
    listeners,
    latency,
    deliveries,
    sends,
    groupSize,
    tokens,
    commits,
    groupCost,
    federation,
    start,
  ],
];

/** Whatever happens, it ends. */
const WHOLE_MS = 30 * 60_000;
const WHOLE_QUICK_MS = 5 * 60_000;

await runMain(async () => {
  const names = [...SCENARIOS, ...DISTRIBUTED].map(({ name }) => name);
  const options = parseCommandLine(process.argv.slice(2), names);
  if (options === 'help') {
    process.stdout.write(helpOf(SCENARIOS, DISTRIBUTED));
    return;
  }
  await using bench = new Workbench(options);
  const timer = setTimeout(() => fail('it takes too long'), timeMaxMs(options));
  const stopped = shutdownSignal().then(() => fail('stopped'));
  let fail: (why: string) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = (why) => reject(new CannotStart(`bench: ${why}`));
  });
  failed.catch(() => {});
  try {
    await Promise.race([measure(bench, options), failed, stopped.then(() => failed)]);
  } finally {
    clearTimeout(timer);
  }
});
// What a scenario that was stopped in its middle still waits for keeps nobody.
process.exit();

async function measure(bench: Workbench, options: Options): Promise<void> {
  const chosen = inProcess(options);
  const began = performance.now();
  process.stdout.write(`${machine()}\n\n`);
  const rows: Row[] = [];
  if (options.replicas.length > 0) {
    bench.place = 'distributed';
    rows.push(...(await measureDistributed(bench, options.only, options.replicas)));
  }
  for (const [at, { name, run }] of chosen.entries()) {
    bench.place = `${at + 1}/${chosen.length} ${name}`;
    bench.progress('');
    const title: Row = { what: name, figure: '' };
    rows.push(title, ...(await run(bench)).map((row) => ({ ...row, what: `  ${row.what}` })));
  }
  bench.progress('closing');
  process.stdout.write(`${renderTable(rows)}\n\n`);
  const judged = rows.filter(({ met }) => met !== undefined);
  const missed = judged.filter(({ met }) => met === false);
  const seconds = Math.round((performance.now() - began) / 1_000);
  process.stdout.write(
    `${judged.length - missed.length} of ${judged.length} targets met, in ${seconds} s; ${load()}\n`,
  );
}

/** A name that stands for two is the distributed one's where that is asked for. */
function inProcess({ only, replicas, quick }: Options): readonly Scenario[] {
  if (only.length === 0) return replicas.length > 0 && quick ? [] : SCENARIOS;
  const others = replicas.length > 0 ? DISTRIBUTED.map(({ name }): string => name) : [];
  return SCENARIOS.filter(({ name }) => only.includes(name) && !others.includes(name));
}

function machine(): string {
  const memory = round(totalmem() / 2 ** 30);
  const model = cpus()[0]?.model ?? 'unknown processor';
  return `${availableParallelism()} cores (${model}), ${memory} GiB, Node ${process.version}; ${load()}`;
}

function load(): string {
  return `load average ${loadavg()
    .map((each) => each.toFixed(1))
    .join(' ')}`;
}

function timeMaxMs({ quick }: Options): number {
  return quick ? WHOLE_QUICK_MS : WHOLE_MS;
}
