// `npm test`: Jest with all its arguments. The tests on real servers run too where those can be had; where they
// cannot, one line at the end says what was left out, and why.
import { spawnSync } from 'node:child_process';
import { relative } from 'node:path';

import { runJest } from './jest.ts';
import { whyNoServers } from './servers.ts';
import { root } from './steps.ts';

const args = process.argv.slice(2);
const WITHOUT_SERVERS = ['--selectProjects', 'unit', 'postgres'];

/** The files on real servers that these arguments ask for. */
function serverTests(): string[] {
  // With --json the list would be another one.
  const asked = args.filter((arg) => arg !== '--json');
  const flags = ['--experimental-vm-modules', '--no-warnings', 'node_modules/jest/bin/jest.js'];
  const listed = spawnSync(
    process.execPath,
    [...flags, ...asked, '--listTests', '--selectProjects', 'servers'],
    { cwd: root, encoding: 'utf8' },
  );
  return listed.stdout
    .split('\n')
    .filter((line) => line.endsWith('.test.ts'))
    .map((path) => relative(root, path));
}

const isChosen = args.some((arg) => /^--(selectProjects|help|version|showConfig)\b/.test(arg));
const wanted = isChosen ? [] : serverTests();
const reason = wanted.length === 0 ? undefined : await whyNoServers();
if (reason === undefined) {
  await runJest(args);
} else {
  const line = `left out: ${wanted.length} files of tests on real servers, because ${reason}\n`;
  process.stderr.write(line);
  process.on('exit', () => process.stderr.write(line));
  await runJest([...args, ...WITHOUT_SERVERS]);
}
