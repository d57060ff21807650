// Steps of a check: each is a command with a name; one line says how it went, its output only when
// it failed. No step can hang: after its time it is stopped with everything that it started.
import { spawn } from 'node:child_process';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '..');

/** The command line of a tool in node_modules/.bin. */
export const bin = (name: string): string => join(root, 'node_modules/.bin', name);

/** One command of a check. */
export interface Step {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Shows the output while it comes instead of keeping it for a failure. */
  readonly loud?: boolean;
}

/** How a step went. */
export interface Outcome {
  readonly name: string;
  readonly ok: boolean;
  readonly output: string;
  readonly ms: number;
}

/** Runs one step from the root of the repository, without standard input. */
export async function run(step: Step): Promise<Outcome> {
  const began = performance.now();
  const [command, ...args] = step.command;
  const child = spawn(command, args, {
    cwd: root,
    detached: true,
    env: { ...process.env, ...step.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const chunks: Buffer[] = [];
  const keep = (chunk: Buffer) => {
    chunks.push(chunk);
    if (step.loud === true) process.stdout.write(chunk);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const timeoutMs = step.timeoutMs ?? 300_000;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    stopGroup(child.pid);
  }, timeoutMs);
  const code = await new Promise<number>((resolve) => {
    child.on('error', (error) => {
      chunks.push(Buffer.from(`${error.message}\n`));
      resolve(1);
    });
    child.on('close', (status) => resolve(status ?? 1));
  });
  clearTimeout(timer);
  if (late) chunks.push(Buffer.from(`stopped after ${timeoutMs / 1000} s\n`));
  const output = Buffer.concat(chunks).toString();
  return { name: step.name, ok: code === 0 && !late, output, ms: performance.now() - began };
}

/** Runs steps, at most `width` at once, and prints a line for each as it ends. */
export async function runAll(steps: readonly Step[], width: number): Promise<Outcome[]> {
  const waiting = [...steps];
  const outcomes: Outcome[] = [];
  const worker = async () => {
    for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
      const outcome = await run(step);
      outcomes.push(outcome);
      print(outcome);
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  return outcomes;
}

/** One line: ok or FAIL, the name, the time. */
export function print(outcome: Outcome): void {
  const verdict = outcome.ok ? 'ok  ' : 'FAIL';
  process.stdout.write(`${verdict} ${outcome.name.padEnd(24)} ${seconds(outcome.ms)}\n`);
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** The step leads a process group of its own, so that what it started ends with it. */
function stopGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended by itself in the meantime.
  }
}
