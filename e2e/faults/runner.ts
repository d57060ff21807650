import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Fault } from './fault.ts';
import { judge } from './history.ts';
import { Intruder } from './intruder.ts';
import { Load } from './load.ts';
import { outageOf } from './outages.ts';
import type { Site } from './site.ts';
import type { Row } from './table.ts';

/** Until all talk, before anything is broken. */
const WARM_MS = 40_000;
/** From the repair on: nobody has to do anything for it (operators §3.5, I7). */
const RECOVERY_MS = 45_000;
const SETTLE_MS = 45_000;
/** Whatever a fault waits for. */
const STRIKE_MS = 150_000;

/** Strikes one fault after the other at a site where people talk. */
export class Runner implements AsyncDisposable {
  /** Nothing more can be struck. */
  isOver = false;
  readonly #site: Site;
  readonly #keep: string | undefined;
  #load: Load | undefined;
  #intruder: Intruder | undefined;
  #loads = 0;

  constructor(site: Site, keep?: string) {
    this.#site = site;
    this.#keep = keep;
  }

  /** Begins to talk, breaks something, puts it right, and judges what all wrote down. */
  async run(fault: Fault): Promise<Row> {
    const { name } = fault;
    const nothing = { fault: name, seen: '', remark: '', violations: [] };
    const leftOut = fault.whyNot?.();
    if (leftOut !== undefined) return { ...nothing, leftOut };
    const site = this.#site;
    site.broken.splice(0);
    site.remarks.splice(0);
    const load = await this.#talking();
    const intruder = (this.#intruder ??= await Intruder.come(site));
    await using _ = intruder.begin(load.log);

    site.progress('strikes');
    await this.#strike(fault);
    site.progress('recovers');
    const flows = await load.flows(RECOVERY_MS);
    site.promise(flows, `all talk again within ${RECOVERY_MS / 1_000} s`);
    await load.hush();
    const settles = flows && (await load.settles(SETTLE_MS));
    const violations = judge(load.log.entries).map(({ rule, sentence }) => `${rule}: ${sentence}`);
    const unheard = load.all.filter((each) => each.unheard > 0).map((each) => each.name);
    if (!settles)
      violations.push(
        `unsettled: [${unheard.join(', ')}] wait for an answer, or the guest is not where it was put`,
      );
    violations.push(...site.broken);
    violations.push(
      ...load.all.flatMap(({ name: who, reports }) =>
        reports.splice(0).map((error) => `${who}'s client is at a loss: ${String(error)}`),
      ),
    );
    if (violations.length > 0) {
      if (this.#keep !== undefined) this.#write(this.#keep, name, violations);
      await this.#forgetLoad();
    }
    return {
      fault: name,
      seen: load.log.errors,
      outage: outageOf(load.log.entries),
      remark: site.remarks.join(', '),
      violations,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#forgetLoad();
    await this.#intruder?.[Symbol.asyncDispose]();
  }

  /** People who talk, of whom all is well: others where those of before lost something. */
  async #talking(): Promise<Load> {
    const { door, log, progress } = this.#site;
    progress('warms up');
    if (this.#load === undefined) {
      this.#load = await Load.open(door, log, this.#loads === 0 ? '' : String(this.#loads));
      this.#loads++;
    }
    this.#load.start();
    if (!(await this.#load.flows(WARM_MS))) throw new Error('nobody hears anything from the start');
    return this.#load;
  }

  async #strike({ strike }: Fault): Promise<void> {
    const site = this.#site;
    const timer = setTimeout(() => {
      // It goes on behind our back: what is struck after it would not be judged fairly.
      this.isOver = true;
      fail(new Error('it takes too long, and nothing is struck after it'));
    }, STRIKE_MS);
    let fail: (error: Error) => void = () => undefined;
    const late = new Promise<never>((_, reject) => (fail = reject));
    try {
      await Promise.race([strike(site), late]);
    } catch (error) {
      site.promise(false, `the fault itself failed: ${String(error)}`);
    } finally {
      clearTimeout(timer);
      await site.repair();
    }
  }

  #write(keep: string, name: string, violations: readonly string[]): void {
    const folder = join(keep, name.replaceAll(' ', '-'));
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const lines = this.#site.log.entries.map((entry) => JSON.stringify(entry));
    writeFileSync(join(folder, 'history.jsonl'), `${lines.join('\n')}\n`);
    writeFileSync(join(folder, 'broken.txt'), `${violations.join('\n')}\n`);
    cpSync(this.#site.home.logs, join(folder, 'logs'), { recursive: true });
  }

  async #forgetLoad(): Promise<void> {
    const load = this.#load;
    this.#load = undefined;
    await load?.[Symbol.asyncDispose]();
  }
}
