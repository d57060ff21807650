import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { Socket, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assert } from '@roost/core/assert';
import { errorCode } from '@roost/core/error-code';

/**
 * What one run of tests, or of a program, has started: processes and folders. None of it outlives the run, however
 * that ends, `kill -9` included: a janitor waits for the end of its standard input, which comes with our end.
 */
export class Run implements AsyncDisposable {
  readonly folder: string;
  readonly #janitor: ChildProcess | undefined;

  private constructor(folder: string, janitor?: ChildProcess) {
    this.folder = folder;
    this.#janitor = janitor;
  }

  /** Begins a run; the processes that this one forks join it. */
  static open(): Run {
    const folder = mkdtempSync(join(tmpdir(), 'roost-run-'));
    // PostgreSQL runs as another user where we are root, and must get through.
    chmodSync(folder, 0o711);
    for (const name of ['pids', 'ports', 'logs']) mkdirSync(join(folder, name));
    const janitor = spawn('/bin/sh', ['-c', SWEEP, 'sh', folder], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    janitor.unref();
    if (janitor.stdin instanceof Socket) janitor.stdin.unref();
    process.env[FOLDER_VARIABLE] = folder;
    return new Run(folder, janitor);
  }

  /** The run that this process belongs to. */
  static current(): Run {
    const folder = process.env[FOLDER_VARIABLE];
    assert(
      folder !== undefined,
      'servers belong to a run: tests with servers are called *.servers.test.ts, programs open one',
    );
    return new Run(folder);
  }

  /** A new folder; it goes with the run at the latest. */
  makeFolder(name: string, within = ''): string {
    mkdirSync(join(this.folder, within), { recursive: true });
    const path = mkdtempSync(join(this.folder, within, `${name}-`));
    chmodSync(path, 0o755);
    return path;
  }

  /** Entrusts a process to the janitor, who sends it this signal, and soon after it SIGKILL. */
  register(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
    const line = `${signal.replace('SIG', '')} ${startOf(pid)}\n`;
    writeFileSync(join(this.folder, 'pids', String(pid)), line);
  }

  /** The process has ended. */
  forget(pid: number): void {
    rmSync(join(this.folder, 'pids', String(pid)), { force: true });
  }

  /**
   * A port of the loopback that is nobody else's in this run: below those that the kernel gives out, so that it is
   * still free when a process that was stopped comes back.
   */
  async takePort(): Promise<number> {
    for (let attempt = 0; attempt < 1000; attempt++) {
      const port = PORT_FIRST + Math.floor(Math.random() * PORT_COUNT);
      if (this.#claim(port) && (await isFree(port))) return port;
    }
    throw new Error('no port of the loopback is free');
  }

  /** Ends whatever is still running, and deletes the folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    const janitor = this.#janitor;
    if (janitor === undefined) return;
    // It was let go at the start; waiting on it alone, Node would end here.
    janitor.ref();
    janitor.stdin?.end();
    if (janitor.exitCode === null && janitor.signalCode === null) await once(janitor, 'exit');
    delete process.env[FOLDER_VARIABLE];
  }

  #claim(port: number): boolean {
    try {
      writeFileSync(join(this.folder, 'ports', String(port)), '', { flag: 'wx' });
      return true;
    } catch (error) {
      if (errorCode(error) === 'EEXIST') return false;
      throw error;
    }
  }
}

const FOLDER_VARIABLE = 'ROOST_RUN';
const PORT_FIRST = 20_000;
const PORT_COUNT = 12_000;

/** When the kernel started a process: with its pid, nobody else's name. Where there is no /proc, empty. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

/**
 * The janitor. A pid may be another's by now, so the start is compared; one that has ended, and of which nobody has
 * taken note yet, counts as gone. Who does not go by its signal within five seconds is killed.
 */
const SWEEP = `
read _
is_ours() {
  [ -e "/proc/self/stat" ] || { kill -0 "$1" 2>/dev/null; return; }
  set -- "$2" $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 1,20)
  [ "$2" != Z ] && [ -n "$1" ] && [ "$1" = "$3" ]
}
each() {
  left=0
  for file in "$folder"/pids/*; do
    [ -e "$file" ] || continue
    pid=\${file##*/}
    read -r signal start < "$file"
    if is_ours "$pid" "$start"; then left=1; kill -"\${1:-$signal}" "$pid"; kill -CONT "$pid"; else rm -f "$file"; fi
  done
}
folder=$1
exec 2>/dev/null
each ''
tries=0
while each 0; [ "$left" = 1 ] && [ "$tries" -lt 50 ]; do tries=$((tries + 1)); sleep 0.1; done
each KILL
rm -rf -- "$folder"
`;

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  const listening = new Promise<boolean>((resolve) => {
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => resolve(true));
  });
  const free = await listening;
  if (free) await new Promise((resolve) => probe.close(resolve));
  return free;
}
