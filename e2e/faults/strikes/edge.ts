import { sleep } from '@roost/core/time';
import type { Fault } from '../fault.ts';
import { within } from '../load.ts';
import { Streams } from './streams.ts';

const BACK_MS = 30_000;
/** Each pays for its return, and its check and its queue take their part of two cores. */
const BACK_EACH_MS = 40;

const killed: Fault = {
  name: 'envoy killed',
  about: 'kill -9 of the edge while people talk',
  isQuick: true,
  async strike(site) {
    await site.home.edge.kill();
    await site.hold(2_000);
    await site.home.edge.start();
  },
};

const crowd: Fault = {
  name: 'envoy with a crowd',
  about:
    'kill -9 of the edge while --streams listen: they come back by themselves, and not all at once',
  async strike(site) {
    const count = site.streams;
    site.progress(`opens ${count} streams`);
    await using streams = await Streams.open(site, count);
    site.progress('kills the edge');
    await site.home.edge.kill();
    streams.returns.splice(0);
    await site.hold(3_000);
    await site.home.edge.start();
    const began = performance.now();
    const isBack = await within(BACK_MS + count * BACK_EACH_MS, () => streams.standing === count);
    site.promise(isBack, `all ${count} listen again, not ${streams.standing}`);
    const order = streams.returns.map((at) => at - began).toSorted((a, b) => a - b);
    const at = (share: number): number => order[Math.floor((order.length - 1) * share)] ?? 0;
    const seconds = (ms: number): string => (ms / 1_000).toFixed(1);
    site.remark(
      `of ${count}, half are back after ${seconds(at(0.5))} s, all after ${seconds(at(1))} s`,
    );
    // Backoff with jitter: a crowd that returns within half a second is a stampede.
    site.promise(at(0.95) - at(0.05) > 500, 'they do not come back all at once');
  },
};

const drained: Fault = {
  name: 'envoy drained',
  about: 'the edge is drained as an operator does, and started again',
  async strike(site) {
    await site.home.edge.drain();
    await sleep(500);
    await site.home.edge.start();
  },
};

export const edge: readonly Fault[] = [killed, drained, crowd];
