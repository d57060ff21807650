import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseDomain } from '@roost/core/ids';
import { systemClock } from '@roost/core/time';
import { nodeCrypto } from '@roost/crypto/node';
import type { ServiceDefinition } from '@roost/rpc/definition';
import { serve } from '@roost/rpc/server';
import { bind, type Handlers } from '@roost/rpc/service';
import { createLog } from '@roost/service/log';
import { runRoostctl } from './program.ts';

const options = { audience: parseDomain('a.example'), clock: systemClock, crypto: nodeCrypto };

/** What answers for a service: it knows nothing, and notes what it is asked. */
export function answering<D extends ServiceDefinition>(
  definition: D,
  handlers: Partial<Handlers<D>>,
  asked: unknown[] = [],
) {
  const whole = Object.fromEntries(
    Object.keys(definition.methods).map((name) => {
      const handler: unknown = Reflect.get(handlers, name);
      const noting = (request: unknown, context: unknown): unknown => {
        asked.push({ [name]: request });
        if (typeof handler !== 'function') throw new Error(`${name} was not expected`);
        return handler(request, context);
      };
      return [name, noting];
    }),
  ) as Handlers<D>;
  return bind(definition, whole, options);
}

type Bindings = readonly ReturnType<typeof bind>[];

/** An all-in-one homeserver's admin socket, and roostctl beside it. */
export async function operatorOf(bindings: Bindings = []) {
  const home = mkdtempSync(join(tmpdir(), 'roost-ctl-'));
  mkdirSync(join(home, 'run'));
  const server = await serve({
    ...{ listen: { path: join(home, 'run', 'admin.sock') }, callers: 'operator', bindings },
    log: createLog('test', 'silent'),
  });
  return {
    home,
    roostctl: async (...args: readonly string[]) => await roostctl('--data', home, ...args),
    async [Symbol.asyncDispose]() {
      await server.close(0);
      rmSync(home, { recursive: true });
    },
  };
}

/** What a command writes and ends with; what stops it is thrown. */
export async function roostctl(...args: readonly string[]) {
  const done = { output: '', status: 0 };
  await runRoostctl(args, {
    environment: {},
    write: (text) => (done.output += text),
    end: (status) => (done.status = status),
  });
  return done;
}
