import { CannotStart } from '@roost/core/cannot-start';
import { Run } from '@roost/e2e/servers/run';
import { runMain } from '@roost/service/run';
import { shutdownSignal } from '@roost/service/shutdown';
import { FAULTS } from './all.ts';
import { helpOf, listOf, type Options, parseCommandLine } from './command-line.ts';
import { Log } from './log.ts';
import { Runner } from './runner.ts';
import { Site } from './site.ts';
import { isKept, renderTable, type Row } from './table.ts';

/** Whatever happens, it ends. */
const WHOLE_MS = 20 * 60_000;

await runMain(async () => {
  const options = parseCommandLine(process.argv.slice(2), FAULTS);
  if (options === 'help') return void process.stdout.write(helpOf(FAULTS));
  if (options === 'list') return void process.stdout.write(`${listOf(FAULTS)}\n`);
  await using _ = Run.open();
  const rows: Row[] = [];
  let fail: (why: string) => void = () => undefined;
  const failed = new Promise<never>((_resolve, reject) => {
    fail = (why) => reject(new CannotStart(`faults: ${why}`));
  });
  failed.catch(() => undefined);
  const timer = setTimeout(() => fail('it takes too long'), WHOLE_MS);
  const stopped = shutdownSignal().then(() => fail('stopped'));
  try {
    await Promise.race([strikeAll(options, rows), failed, stopped.then(() => failed)]);
  } finally {
    clearTimeout(timer);
    if (rows.length > 0) process.stdout.write(`${renderTable(rows)}\n\n`);
  }
  const broken = rows.filter((row) => !isKept(row)).length;
  const left = rows.filter(({ leftOut }) => leftOut !== undefined).length;
  const held = rows.length - broken - left;
  process.stdout.write(`${held} held, ${broken} broken, ${left} left out (seed ${options.seed})\n`);
  if (broken > 0) process.exitCode = 1;
});
// What a fault that was stopped in its middle still waits for keeps nobody.
process.exit();

async function strikeAll({ faults, seed, keep, streams }: Options, rows: Row[]): Promise<void> {
  const began = performance.now();
  let place = 'start';
  const progress = (text: string): void => {
    const seconds = Math.round((performance.now() - began) / 1_000);
    process.stderr.write(`${String(seconds).padStart(4)} s  ${place}: ${text}\n`);
  };
  progress('servers and services');
  await using site = await Site.open(new Log(), { seed, streams, progress });
  await using runner = new Runner(site, keep);
  for (const [at, fault] of faults.entries()) {
    place = `${at + 1}/${faults.length} ${fault.name}`;
    const row = await runner.run(fault);
    rows.push(row);
    progress(row.leftOut ?? (isKept(row) ? 'holds' : 'BROKEN'));
    if (runner.isOver) break;
  }
  place = 'end';
  progress('everything is stopped');
}
