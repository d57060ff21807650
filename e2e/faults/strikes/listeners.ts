import { readFileSync } from 'node:fs';
import { sleep } from '@roost/core/time';
import { Cable } from '../cable.ts';
import type { Fault } from '../fault.ts';
import { within } from '../load.ts';
import { outageOf } from '../outages.ts';
import type { Site } from '../site.ts';
import { introduce, Talker } from '../talker.ts';

const LINES = 150;
const LINE_BYTES = 20_000;
/** Two letters a second, so to say. */
const SLOW_PER_SECOND = 4_000;
/** Of both together; what V8 grows by under any load is in it. */
const GROWTH_MAX = 128 * 2 ** 20;
/** What others may wait beside it. */
const OTHERS_MS = 12_000;

const slow: Fault = {
  name: 'slow listener',
  about:
    'one who takes 4 kB a second of a queue of 3 MB: the QS keeps little of it, others feel nothing',
  async strike(site) {
    await using all = new AsyncDisposableStack();
    const cable = all.use(await Cable.open(site.door.address));
    const through = { ...site.door, address: cable.address };
    const [tom, sid] = await Promise.all([
      Talker.come(`tom${site.number()}`, site.door, site.log),
      Talker.come(`sid${site.number()}`, through, site.log),
    ]);
    all.use(tom);
    all.use(sid);
    const chat = await introduce(tom, sid);
    const before = residentOf(site);
    cable.backPerSecond = SLOW_PER_SECOND;
    const padding = 'x'.repeat(LINE_BYTES);
    for (let count = 0; count < LINES;) {
      if (await tom.say(chat, padding)) count++;
      // All these clients share a process: they are not to wait for each other.
      await sleep(80);
    }
    const allSent = await within(30_000, () => tom.unheard === 0);
    site.promise(allSent, 'a sender does not feel that somebody listens slowly');
    await sleep(4_000);
    const growth = residentOf(site) - before;
    site.remark(`QS grew by ${Math.round(growth / 2 ** 20)} MiB`);
    site.promise(growth < GROWTH_MAX, `the QS keeps little, not ${growth} bytes more`);
    const mine = new Set([tom.name, sid.name]);
    const others = site.log.entries.filter((each) => 'client' in each && !mine.has(each.client));
    const { arrived } = outageOf(others);
    site.promise(arrived < OTHERS_MS, `others wait ${Math.round(arrived)} ms at most`);
    cable.backPerSecond = undefined;
    const heardAll = await within(40_000, () => heardBy(site, sid.name) === LINES);
    site.promise(heardAll, `in the end all is heard, not ${heardBy(site, sid.name)} of ${LINES}`);
  },
};

function heardBy(site: Site, name: string): number {
  return site.log.entries.filter(
    (each) => each.kind === 'arrived' && each.level === 'text' && each.client === name,
  ).length;
}

/** Of both QS, in bytes. */
function residentOf(site: Site): number {
  const kilobytes = site.home.of('qs').map(({ pid }) => {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]);
  });
  return kilobytes.reduce((sum, each) => sum + each * 1_024, 0);
}

const storm: Fault = {
  name: 'retry storm',
  about: 'groups, queues and accounts are away for long; all who waited come at once',
  async strike(site) {
    const away = [...site.home.of('ds'), ...site.home.of('qs'), ...site.home.of('as')];
    await Promise.all(away.map((each) => each.kill()));
    await site.hold(15_000);
    await Promise.all(away.map((each) => each.start()));
  },
};

export const listeners: readonly Fault[] = [slow, storm];
