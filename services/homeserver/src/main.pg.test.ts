import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import type { SecureVersion } from 'node:tls';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { parseDomain } from '@roost/core/ids';
import { AuthenticationServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import { PeerServiceDefinition } from '@roost/proto/roost/federation/v1/peer';
import { clientOf, connect, connectHomeserver } from '@roost/rpc/client';

const ROOT = new URL('../../../', import.meta.url);
const MAIN = 'services/homeserver/src/main.ts';
const CTL = 'services/ctl/src/main.ts';

/** Programs start slowly where many share a machine. */
const PATIENCE_MS = 300_000;

let root: string;
const running = new Set<Program>();

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'roost start é '));
  await chmod(root, 0o711);
});
afterEach(async () => {
  await Promise.all([...running].map((program) => program.end('SIGKILL')));
});
afterAll(async () => await rm(root, { recursive: true }));

/** A program of ours as its user starts it. */
class Program {
  out = '';
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(main: string, args: readonly string[], env: Record<string, string> = {}) {
    const flags = ['--disable-warning=ExperimentalWarning', main, ...args];
    this.#child = spawn(process.execPath, flags, {
      ...{ cwd: ROOT, env: { ...process.env, ...env } },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const hear = (text: Buffer): void => {
      this.out += text.toString();
      this.#child.emit('said');
    };
    this.#child.stdout?.on('data', hear);
    this.#child.stderr?.on('data', hear);
    this.#ended = once(this.#child, 'close');
    running.add(this);
  }

  /** The last line of its start log, or what it said instead. */
  async ready(): Promise<string> {
    while (!this.out.includes('ready: ') && this.#child.exitCode === null) {
      await Promise.race([once(this.#child, 'said'), this.#ended]);
    }
    return /ready: http:\/\/(\S+)\n$/.exec(this.out)?.[1] ?? this.out;
  }

  async end(signal?: NodeJS.Signals): Promise<number | null> {
    if (signal !== undefined) this.#child.kill(signal);
    await this.#ended;
    running.delete(this);
    return this.#child.exitCode;
  }
}

function homeserver(data: string, ...args: readonly string[]): Program {
  const place = ['--data', data, '--listen', '127.0.0.1:0'];
  return new Program(MAIN, ['--development', ...place, ...args]);
}

async function registrationOf(address: string): Promise<unknown> {
  using channel = connect(address);
  const client = clientOf(AuthenticationServiceDefinition, channel);
  return await client.getHomeserver({});
}

test(
  'a homeserver starts, answers, keeps others off its data, and stops in order',
  async () => {
    const data = join(root, 'first');
    const first = homeserver(data, '--domain', 'example.org', '--registration', 'invite');
    const address = await first.ready();
    expect(await registrationOf(address)).toMatchObject({ domain: 'example.org', registration: 2 });

    const second = homeserver(data);
    expect(await second.ready()).toMatch(/another homeserver \(process \d+\) runs on .*--data/);
    expect(await second.end()).toBe(1);

    const invites = new Program(CTL, ['--data', data, 'invites', 'create', '--count', '3']);
    expect(await invites.end()).toBe(0);
    expect(invites.out.trim().split('\n')).toHaveLength(3);

    expect(await first.end('SIGTERM')).toBe(0);
    expect(first.out).toMatch(/stopping signal=SIGTERM\n$/);
    const refused = new Program(CTL, ['--data', data, 'invites', 'list']);
    expect(await refused.end()).toBe(1);
    expect(refused.out).toContain('no homeserver answers');
  },
  PATIENCE_MS,
);

test(
  'after kill -9 the next start takes over, with all that was kept',
  async () => {
    const data = join(root, 'killed');
    const first = homeserver(data);
    await first.ready();
    await new Program(CTL, ['--data', data, 'invites', 'create']).end();
    await first.end('SIGKILL');

    const next = homeserver(data);
    expect(await registrationOf(await next.ready())).toMatchObject({ domain: 'localhost' });
    const invites = new Program(CTL, ['--data', data, 'invites', 'list']);
    await invites.end();
    expect(invites.out).toContain('open 1');
    expect(await next.end('SIGINT')).toBe(0);
  },
  PATIENCE_MS,
);

test(
  'a database that dies is started anew under a homeserver that lives',
  async () => {
    const data = join(root, 'database');
    const program = homeserver(data);
    await program.ready();
    const [pid] = (await readFile(join(data, 'postgresql-18/postmaster.pid'), 'utf8')).split('\n');
    process.kill(Number(pid), 'SIGKILL');

    for (const until = Date.now() + 20_000; Date.now() < until;) {
      const invites = new Program(CTL, ['--data', data, 'invites', 'create']);
      if ((await invites.end()) === 0) break;
    }
    expect(program.out).toContain('the database has stopped by itself; starting it again');
    const invites = new Program(CTL, ['--data', data, 'invites', 'list']);
    expect(await invites.end()).toBe(0);
    expect(await program.end('SIGTERM')).toBe(0);
  },
  PATIENCE_MS,
);

test(
  'a homeserver of before meets others once it is told to, and stops meeting them',
  async () => {
    const data = join(root, 'met');
    const before = homeserver(data, '--domain', 'a.example');
    await before.ready();
    await before.end('SIGTERM');

    const { env, cert } = await federation('a.example');
    const args = ['--development', '--data', data, '--listen', '127.0.0.1:0'];
    const met = new Program(MAIN, args, env);
    const address = await met.ready();
    const [, port = ''] = /met listen=127\.0\.0\.1:(\d+)/.exec(met.out) ?? [];
    const written = await directoryAt(Number(port), cert, 'TLSv1.3');
    expect(JSON.parse(written)).toEqual({ directory: expect.stringMatching(/^[\w-]{200,}$/) });
    // The same stands where clients come in: port 443 of a homeserver is theirs.
    const page = await fetch(`http://${address}/.well-known/roost-federation`);
    expect(await page.text()).toBe(written);
    // Each door has its own methods, and a client finds no way around the token gate.
    await expect(clientsCallAt(Number(port), cert)).rejects.toMatchObject({
      reason: 'METHOD_UNKNOWN',
    });
    await expect(peersCallAt(address)).rejects.toMatchObject({ reason: 'METHOD_UNKNOWN' });
    // Whom it meets is said while it runs.
    const closed = new Program(CTL, ['--data', data, 'federation', 'policy']);
    expect([await closed.end(), closed.out]).toEqual([0, expect.stringContaining('allowlist')]);
    const opened = new Program(CTL, ['--data', data, 'federation', 'mode', 'open']);
    expect(await opened.end()).toBe(0);
    await operate(data);
    await expect(directoryAt(Number(port), cert, 'TLSv1.2')).rejects.toThrow(/version/i);
    expect(await met.end('SIGTERM')).toBe(0);

    const after = homeserver(data);
    const gone = await fetch(`http://${await after.ready()}/.well-known/roost-federation`);
    expect(gone.status).toBe(405);
    expect(await after.end('SIGTERM')).toBe(0);
  },
  PATIENCE_MS,
);

/** What an operator asks besides, of a homeserver that meets others and has met nobody yet. */
async function operate(data: string): Promise<void> {
  const ask = async (...order: readonly string[]): Promise<readonly [number | null, unknown]> => {
    const asked = new Program(CTL, ['--data', data, '--json', ...order]);
    const status = await asked.end();
    return [status, status === 2 ? asked.out : JSON.parse(asked.out)] as const;
  };
  const allowed = await ask('federation', 'allow', 'b.example', '--note', 'a friend');
  expect(allowed).toMatchObject([
    0,
    { mode: 'open', listings: [{ domain: 'b.example', kind: 'allowed', note: 'a friend' }] },
  ]);
  const [rotated, keys] = await ask('keys', 'rotate', 'federation');
  expect([rotated, keys]).toMatchObject([0, [{ state: 'next' }, { state: 'current' }]]);
  const record = join(data, 'audit.jsonl');
  const [listed, exported, peers, lanes, letters, depth] = await Promise.all([
    ask('keys', 'list'),
    ask('audit', 'export', '--out', record),
    ask('federation', 'peers'),
    ask('federation', 'outbox'),
    ask('federation', 'dead-letters'),
    ask('outbox'),
  ]);
  expect(listed[1]).toEqual(
    expect.arrayContaining(
      ['as root', 'as intermediate', 'aas general', 'aas contact', 'federation'].map((what) =>
        expect.objectContaining({ what, state: 'current' }),
      ),
    ),
  );
  expect(exported).toEqual([0, { rows: 0, file: record }]);
  expect(await ask('audit', 'verify', record)).toEqual([0, { checked: 0, flaws: [] }]);
  expect(peers).toMatchObject([0, [{ domain: 'b.example', isAdmitted: true, firstMetMs: 0 }]]);
  expect([lanes, letters]).toEqual([
    [0, []],
    [0, []],
  ]);
  expect(depth).toMatchObject([0, { oldestAgeMs: 0, isFull: false }]);
}

/** What switches federation on, with a certificate that signed itself. */
async function federation(domain: string) {
  const [cert, key] = [join(root, 'door.crt'), join(root, 'door.key')];
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const subject = ['-subj', `/CN=${domain}`, '-addext', `subjectAltName=DNS:${domain}`];
  execFileSync('openssl', ['req', ...kind, '-keyout', key, '-out', cert, ...subject], {
    stdio: 'ignore',
  });
  return {
    cert: await readFile(cert, 'utf8'),
    env: {
      ROOST_FEDERATION_LISTEN: '127.0.0.1:0',
      ROOST_FEDERATION_ENDPOINT: `${domain}:8443`,
      ROOST_FEDERATION_CERT: cert,
      ROOST_FEDERATION_KEY: key,
    },
  };
}

async function clientsCallAt(port: number, ca: string): Promise<unknown> {
  const addresses = [`127.0.0.1:${port}`];
  using channel = connectHomeserver({ addresses, domain: parseDomain('a.example'), ca });
  return await clientOf(AuthenticationServiceDefinition, channel).getHomeserver({});
}

async function peersCallAt(address: string): Promise<unknown> {
  using channel = connect(address);
  const nothing = new Uint8Array(0);
  return await clientOf(PeerServiceDefinition, channel).call({
    envelope: nothing,
    payload: nothing,
  });
}

async function directoryAt(port: number, ca: string, version: SecureVersion): Promise<string> {
  const versions = { minVersion: version, maxVersion: version };
  const asked = get({
    ...{ host: '127.0.0.1', servername: 'a.example', port, ca, agent: false },
    ...{ path: '/.well-known/roost-federation', ...versions },
  });
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  return await textOf(answer);
}

test('nonsense on the command line is exit code 2, before anything is made', async () => {
  const program = homeserver(join(root, 'nonsense'), '--frob');
  expect(await program.end()).toBe(2);
  expect(program.out).toBe("Unknown option '--frob': see --help\n");
});
