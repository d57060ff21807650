import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { CHART } from '../chart/render.ts';
import { root } from '../steps.ts';
import { type Cluster, program, until } from './kubectl.ts';
import type { Options } from './options.ts';
import { DATABASE, databaseImage, ProbePod, wipeVolume } from './pods.ts';
import { OURS, type Release } from './release.ts';
import { RELEASE, valuesOf } from './values.ts';

const SERVICES = ['as', 'aas', 'qs', 'ds'];
/** A folder in the pod of those who live through it. */
const TOLD = '/tmp';
const MINUTE_MS = 60_000;

/**
 * Two people write to each other; `roostctl backup` dumps all databases of the running homeserver; they go on; the
 * volume of PostgreSQL is wiped; the dumps are put back, the incarnation that `roostctl restore finalize` names is given
 * to all; the two go on from where they are, and a token that one of them spent since the dumps is void.
 */
export async function restore(release: Release, options: Options): Promise<string> {
  const { cluster } = release;
  const folder = mkdtempSync(join(tmpdir(), 'roost-dumps-'));
  const people = new ProbePod(cluster, 'roost-restored');
  try {
    await people.remove();
    await people.start(options.image, ['restored', TOLD]);
    await people.says('ready: back it up', 5 * MINUTE_MS);
    const dumps = join(folder, 'dumps');
    await withDatabases(cluster, async (urls) => await backUp(urls, dumps));
    await people.runs(tell('backed-up'));
    await people.says('ready: lose it', 5 * MINUTE_MS);

    const began = Date.now();
    await lose(release);
    await withDatabases(cluster, async (urls) => await putBack(urls, dumps));
    const incarnation = await finalize(release);
    await release.upgrade(CHART, { ...valuesOf(options), incarnation });
    await haveSeen(cluster);
    const awayS = Math.round((Date.now() - began) / 1_000);
    await people.runs(tell('restored'));
    await people.says('each hears the other', 10 * MINUTE_MS);
    return `${SERVICES.length} databases dumped, wiped and put back, away for ${awayS} s, incarnation ${incarnation}, seen by all services; a token spent since is void, and people go on`;
  } catch (error) {
    throw new Error(`${String(error)}\nthe people: ${await people.log()}`, { cause: error });
  } finally {
    await people.remove();
    rmSync(folder, { recursive: true });
  }
}

function tell(what: string): string {
  return `require('node:fs').writeFileSync('${TOLD}/${what}', '')`;
}

type Urls = ReadonlyMap<string, URL>;

/** The databases as they are reached from here, by whoever may read their Secrets. */
async function withDatabases(cluster: Cluster, work: (urls: Urls) => Promise<void>): Promise<void> {
  using forward = await cluster.forward(`${RELEASE}-postgresql-0`, 5432);
  const urls = new Map<string, URL>();
  for (const service of SERVICES) {
    const { data } = await cluster.get<{ data: { url: string } }>([
      ...['secret', `${RELEASE}-database-${service}`],
    ]);
    const url = new URL(Buffer.from(data.url, 'base64').toString());
    url.host = `127.0.0.1:${forward.port}`;
    urls.set(service, url);
  }
  await work(urls);
}

async function backUp(urls: Urls, dumps: string): Promise<void> {
  const env = { ...process.env };
  for (const [service, url] of urls) env[`ROOSTCTL_DATABASE_${service.toUpperCase()}`] = url.href;
  const roostctl = join(root, 'services/ctl/src/main.ts');
  await program(process.execPath, [roostctl, 'backup', '--out', dumps], { env });
}

async function putBack(urls: Urls, dumps: string): Promise<void> {
  for (const [service, url] of urls) {
    const env = {
      ...process.env,
      ...{ PGHOST: url.hostname, PGPORT: url.port, PGUSER: url.username },
      PGPASSWORD: url.password,
    };
    const how = ['--clean', '--if-exists', '--no-owner', '--exit-on-error'];
    const what = [`--dbname=${url.pathname.slice(1)}`, join(dumps, `${service}.dump`)];
    await program('pg_restore', [...how, ...what], { env });
  }
}

/** Stops all services, and leaves them databases that hold nothing. */
async function lose(release: Release): Promise<void> {
  const { cluster } = release;
  await cluster.kubectl(['scale', 'deployment', '--selector', OURS, '--replicas=0']);
  await noneLeft(cluster, [...SERVICES, 'edge']);
  const image = await databaseImage(cluster);
  await release.scale(DATABASE, 0);
  await noneLeft(cluster, ['postgresql']);
  await wipeVolume(cluster, image);
  await release.scale(DATABASE, 1);
  await release.settled(DATABASE);
}

async function noneLeft(cluster: Cluster, components: readonly string[]): Promise<void> {
  const selector = `${OURS},app.kubernetes.io/component in (${components.join(',')})`;
  await until(`${components.join(', ')} are gone`, 3 * MINUTE_MS, async () => {
    const { items } = await cluster.get<{ items: unknown[] }>(['pods', '--selector', selector]);
    return items.length === 0 ? true : undefined;
  });
}

async function finalize(release: Release): Promise<number> {
  await release.startOperator();
  const said = JSON.parse(await release.roostctl('--json', 'restore', 'finalize')) as {
    incarnation: number;
  };
  return said.incarnation;
}

/** Each service says that its database was restored, by the one replica that was first. */
async function haveSeen(cluster: Cluster): Promise<void> {
  for (const service of SERVICES) {
    const selector = `${OURS},app.kubernetes.io/component=${service}`;
    const args = ['logs', '--selector', selector, '--all-containers', '--tail=-1'];
    const log = await cluster.kubectl(args);
    if (!log.includes('the database was restored')) {
      throw new Error(`${service} has not seen that its database was restored:\n${log}`);
    }
  }
}
