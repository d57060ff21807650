// A reporter of Jest's: of a test file that failed, the last words of the processes that its worlds were made of.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';

const LINES_MAX = 25;

export default class ServerLogs {
  onTestResult({ path }, { numFailingTests, testExecError }) {
    const run = process.env['ROOST_RUN'];
    if (run === undefined || (numFailingTests === 0 && testExecError === undefined)) return;
    const name = basename(path, '.ts');
    const logs = join(run, 'logs');
    if (!existsSync(logs)) return;
    for (const folder of readdirSync(logs).filter((each) => each.startsWith(`${name}-`))) {
      for (const file of readdirSync(join(logs, folder)).toSorted()) show(folder, file, logs);
    }
  }
}

function show(folder, file, logs) {
  const path = join(logs, folder, file);
  // Of one that was never started there is none.
  if (!existsSync(path)) return;
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  const last = lines.slice(-LINES_MAX).map((line) => `  ${line.slice(0, 400)}\n`);
  process.stderr.write(`\n${folder}/${file}, the last of ${lines.length} lines:\n${last.join('')}`);
}
