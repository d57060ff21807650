import { type ChildProcess, spawn } from 'node:child_process';

import { fetchTool } from '../chart/helm.ts';

export interface Said {
  readonly ok: boolean;
  readonly out: string;
  readonly all: string;
}

interface Forward extends Disposable {
  readonly port: number;
}

/** A cluster by its KUBECONFIG, and in it the namespace of a trial. */
export class Cluster {
  readonly namespace: string;
  readonly #kubectl = fetchTool('kubectl');
  readonly #helm = fetchTool('helm');

  constructor(namespace: string) {
    this.namespace = namespace;
  }

  /** What it printed; throws what it said where it failed. */
  async kubectl(args: readonly string[], input?: string): Promise<string> {
    return orThrow('kubectl', args, await this.tryKubectl(args, input));
  }

  async tryKubectl(args: readonly string[], input?: string): Promise<Said> {
    return await run(this.#kubectl, ['--namespace', this.namespace, ...args], { input });
  }

  /** Makes an object, or makes it so. */
  async apply(object: object): Promise<void> {
    await this.kubectl(['apply', '--filename', '-'], JSON.stringify(object));
  }

  async helm(args: readonly string[]): Promise<string> {
    return orThrow('helm', args, await this.tryHelm(args));
  }

  async tryHelm(args: readonly string[]): Promise<Said> {
    return await run(this.#helm, ['--namespace', this.namespace, ...args], {});
  }

  /** Opens a port of this machine to one of a pod, until it is disposed of. */
  async forward(pod: string, port: number): Promise<Forward> {
    const args = ['--namespace', this.namespace, 'port-forward', `pod/${pod}`, `:${port}`];
    const child = spawn(this.#kubectl, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    return await new Promise((resolve, reject) => {
      let said = '';
      const hear = (text: Buffer): void => {
        said += text.toString();
        const [, local] = /127\.0\.0\.1:(\d+) ->/.exec(said) ?? [];
        if (local !== undefined) resolve(forwardOf(Number(local), child));
      };
      child.stdout.on('data', hear);
      child.stderr.on('data', hear);
      child.once('error', reject);
      child.once('close', () => reject(new Error(`kubectl ${args.join(' ')}\n${said}`)));
    });
  }

  /** An object, or a list of them. */
  async get<T>(args: readonly string[]): Promise<T> {
    return JSON.parse(await this.kubectl(['get', ...args, '--output', 'json'])) as T;
  }
}

/** Asks over and over until there is an answer. */
export async function until<T>(
  what: string,
  patienceMs: number,
  ask: () => Promise<T | undefined>,
): Promise<T> {
  for (const end = Date.now() + patienceMs; ;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > end) throw new Error(`${what}: not within ${patienceMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

function forwardOf(port: number, child: ChildProcess): Forward {
  return { port, [Symbol.dispose]: () => void child.kill() };
}

const TIMEOUT_MS = 15 * 60_000;

interface Call {
  readonly input?: string | undefined;
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs a program of this machine: what it printed; throws what it said where it failed. */
export async function program(name: string, args: readonly string[], call: Call): Promise<string> {
  return orThrow(name, args, await run(name, args, call));
}

async function run(name: string, args: readonly string[], { input, env }: Call): Promise<Said> {
  const options = { ...(env === undefined ? {} : { env }), timeout: TIMEOUT_MS };
  const child = spawn(name, args, { ...options, stdio: ['pipe', 'pipe', 'pipe'] });
  let [out, all] = ['', ''];
  child.stdout.on('data', (text: Buffer) => {
    out += text.toString();
    all += text.toString();
  });
  child.stderr.on('data', (text: Buffer) => (all += text.toString()));
  // It may end before it has read everything.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input ?? '');
  const status = await new Promise<number | null>((done) => {
    child.once('error', (error) => {
      all += String(error);
      done(null);
    });
    child.once('close', done);
  });
  return { ok: status === 0, out, all };
}

function orThrow(name: string, args: readonly string[], { ok, out, all }: Said): string {
  if (ok) return out;
  throw new Error(`${name} ${args.join(' ')}\n${all}`);
}
