import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { Door } from '@roost/e2e/door';
import type { Outgoing } from '@roost/rpc/call';

/** What a process of clients is asked to do; it answers each in turn. */
export type Task =
  | { readonly do: 'prepare'; readonly door: Door; readonly calls: readonly Outgoing[] }
  /** Makes the prepared calls, so many at once, with a pause before each. */
  | { readonly do: 'call'; readonly inFlight: number; readonly pauseMs: number }
  /** Makes the prepared calls at a steady rate, whether those before were answered or not. */
  | { readonly do: 'pace'; readonly perSecond: number }
  /** Opens a stream by each prepared call, so many to a connection, and waits for its first message. */
  | { readonly do: 'listen'; readonly perConnection: number }
  /** Tells what has arrived at the streams since it was asked last. */
  | { readonly do: 'arrivals' }
  /** Waits until so many have arrived, and forgets them. */
  | { readonly do: 'await'; readonly count: number };

export interface Called {
  /** Nanoseconds of a clock that all processes share, as a pair for each call: begun, answered. */
  readonly times: readonly (readonly [bigint, bigint])[];
  readonly cpuSeconds: number;
}

export interface Arrivals {
  /** For each message that arrived, when. */
  readonly times: readonly bigint[];
  /** At which of the prepared streams each did. */
  readonly streams: readonly number[];
}

/** Clients in a process of their own: what they cost is not measured with the server. */
export interface Clients extends AsyncDisposable {
  readonly ask: (task: Task) => Promise<unknown>;
  readonly call: (inFlight: number, pauseMs?: number) => Promise<Called>;
  readonly pace: (perSecond: number) => Promise<Called>;
  readonly pid: number;
  readonly arrivals: () => Promise<Arrivals>;
  /** Waits until so many messages have arrived since this was asked last. */
  readonly arrived: (count: number) => Promise<void>;
}

export function startClients(): Clients {
  const child = fork(new URL('./client-process.ts', import.meta.url), {
    serialization: 'advanced',
    // The loopback has addresses and no names, of which Node warns where TLS is spoken.
    execArgv: ['--disable-warning=ExperimentalWarning', '--disable-warning=DEP0123'],
  });
  const ended = once(child, 'exit');
  const ask = async (task: Task): Promise<unknown> => {
    const answered = new Promise<unknown>((resolve, reject) => {
      child.once('message', (answer: { readonly error?: string }) => {
        if (answer.error === undefined) resolve(answer);
        else reject(new Error(`clients: ${answer.error}`));
      });
      void ended.then(() => reject(new Error('the process of clients has ended')));
    });
    child.send(task);
    return await answered;
  };
  return {
    ask,
    call: async (inFlight, pauseMs = 0) => (await ask({ do: 'call', inFlight, pauseMs })) as Called,
    pace: async (perSecond) => (await ask({ do: 'pace', perSecond })) as Called,
    pid: child.pid ?? 0,
    arrivals: async () => (await ask({ do: 'arrivals' })) as Arrivals,
    arrived: async (count) => void (await ask({ do: 'await', count })),
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await ended;
    },
  };
}
