import { CannotStart } from '@roost/core/cannot-start';
import { sleep } from '@roost/core/time';
import type { ListenAddress } from '@roost/service/config';

export interface Drain {
  readonly admin: ListenAddress;
  readonly drain: { readonly noticeMs: number; readonly callsMs: number };
}

const LOOK_EVERY_MS = 200;

/**
 * Lets an Envoy go without losing a call: first /readyz fails and load balancers take note, then no more connections
 * are taken and open ones are asked to end, then the calls that are under way end. Streams that listen do not end by
 * themselves: they are cut when the time is up, and their clients connect elsewhere.
 */
export async function drain({ admin, drain: { noticeMs, callsMs } }: Drain): Promise<void> {
  await post(admin, '/healthcheck/fail');
  await sleep(noticeMs);
  await post(admin, '/drain_listeners?inboundonly&graceful');
  for (const end = Date.now() + callsMs; Date.now() < end; await sleep(LOOK_EVERY_MS)) {
    if ((await openCalls(admin)) === 0) return;
  }
}

/** Ends Envoy at once: whoever started it starts it again. */
export async function quit({ admin }: Pick<Drain, 'admin'>): Promise<void> {
  await post(admin, '/quitquitquit');
}

async function openCalls(admin: ListenAddress): Promise<number> {
  const response = await fetch(`${urlOf(admin)}/stats?filter=^http.edge.downstream_rq_active$`);
  return Number((await response.text()).trim().split(': ')[1] ?? 0);
}

async function post(admin: ListenAddress, path: string): Promise<void> {
  try {
    const response = await fetch(urlOf(admin) + path, { method: 'POST' });
    if (response.ok) return;
    throw new CannotStart(`Envoy's admin port refused ${path} with ${response.status}`);
  } catch (error) {
    if (error instanceof CannotStart) throw error;
    throw new CannotStart(
      `no Envoy answers on ${urlOf(admin)}: ROOST_ADMIN_LISTEN says where it is`,
    );
  }
}

function urlOf({ host, port }: ListenAddress): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
