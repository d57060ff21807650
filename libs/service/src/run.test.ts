import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from '@jest/globals';

const MODULE = new URL('./run.ts', import.meta.url).href;

/** Runs a service whose `serve` says "up" and waits; sends signals as soon as it is up. */
async function program(
  args: readonly string[],
  { signals = [], stubborn = false }: { signals?: NodeJS.Signals[]; stubborn?: boolean } = {},
) {
  const source = `
    import { runService } from ${JSON.stringify(MODULE)};
    import { CannotStart } from '@roost/core/cannot-start';
    await runService({
      readConfig: (environment) => {
        if (environment.WRONG) throw new CannotStart('WRONG is set: unset it.');
        return 7;
      },
      check: async (config) => { process.stdout.write('checked ' + config); },
      migrate: async (config) => { process.stdout.write('migrated ' + config); },
      serve: async (config, stop) => {
        const alive = setInterval(() => {}, 1000);
        process.stdout.write('up');
        await stop;
        ${stubborn ? '' : 'clearInterval(alive);'}
        process.stdout.write(' stopping');
      },
    }, process.argv.slice(1), { WRONG: process.env.WRONG });`;
  const flags = ['--no-warnings', '--input-type=module', '--eval', source, '--', ...args];
  const child = spawn(process.execPath, flags, { cwd: new URL('.', import.meta.url) });
  const said = { out: '', err: '' };
  child.stderr.on('data', (text: Buffer) => (said.err += text.toString()));
  child.stdout.on('data', (text: Buffer) => {
    said.out += text.toString();
    const next = signals.shift();
    if (next !== undefined) child.kill(next);
  });
  const [code]: unknown[] = await once(child, 'close');
  return { ...said, code };
}

test('a service stops in order at the first signal', async () => {
  expect(await program([], { signals: ['SIGTERM'] })).toEqual({
    out: 'up stopping',
    err: '',
    code: 0,
  });
});

test('the second signal does not wait', async () => {
  const forced = await program(['serve'], { signals: ['SIGINT', 'SIGINT'], stubborn: true });
  expect(forced).toEqual({ out: 'up stopping', err: '', code: 130 });
});

test('migrate and check end by themselves, and nonsense is refused with exit code 2', async () => {
  expect(await program(['migrate'])).toEqual({ out: 'migrated 7', err: '', code: 0 });
  expect(await program(['check'])).toEqual({ out: 'checked 7', err: '', code: 0 });
  expect(await program(['serv'])).toMatchObject({ err: expect.stringContaining('serve'), code: 2 });
});
