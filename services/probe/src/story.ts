import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@roost/client/client';
import { openNodeClient, type NodeClient } from '@roost/client/node/open';
import { CannotStart } from '@roost/core/cannot-start';
import { AuthenticationAdminServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import { clientOf, connectPeer } from '@roost/rpc/client';
import type { ProbeConfig } from './config.ts';

type Say = (line: string) => void;
type News = ReturnType<Client['events']> extends AsyncIterable<infer Event> ? Event : never;

const STEP_MS = 60_000;

/** Two users who have never met write to each other, in a conversation and in a group. */
export async function tellStory(config: ProbeConfig, say: Say): Promise<void> {
  const codes = await inviteCodes(config);
  const folder = await mkdtemp(join(tmpdir(), 'roost-probe-'));
  await using ends = new AsyncDisposableStack();
  ends.defer(async () => await rm(folder, { recursive: true, force: true }));
  const open = async (number: number): Promise<NodeClient> => {
    const userName = `probe-${randomBytes(6).toString('hex')}`;
    const { address, name, ca } = config.edge;
    const authority = ca === undefined ? {} : { ca: await readFile(ca, 'utf8') };
    return ends.use(
      await openNodeClient({
        ...{ folder: join(folder, String(number)), userName, inviteCode: codes?.[number] },
        server: { address, isTls: true, name, ...authority },
      }),
    );
  };
  const [{ client: alice }, { client: bob }] = [await open(0), await open(1)];
  const [atAlice, atBob] = [new Heard(alice), new Heard(bob)];
  say('two users are registered, and have drawn tokens');

  const dialogue = await alice.connect(bob.userName);
  await atBob.hears('request', ({ name }) => name === alice.userName);
  await bob.accept(alice.userName);
  await atAlice.hears('connected', ({ name }) => name === bob.userName);
  say('they are connected');
  await alice.send(dialogue, 'hello');
  const { chat } = await atBob.hears('message', ({ text }) => text === 'hello');
  await bob.send(chat, 'hello yourself');
  await atAlice.hears('message', ({ text }) => text === 'hello yourself');
  say('each has heard the other');

  const group = await alice.createGroup('probe', [bob.userName]);
  const joined = await atBob.hears('joined', () => true);
  await alice.send(group, 'in a group');
  await atBob.hears(
    'message',
    (event) => event.chat === joined.chat && event.text === 'in a group',
  );
  await bob.leave(joined.chat);
  say('a group was made, written to and left');
}

/** What a client was told so far, in its order. */
class Heard {
  readonly #news: News[] = [];
  #wake = Promise.withResolvers<void>();

  constructor(client: Client) {
    const follow = async (): Promise<void> => {
      for await (const event of client.events()) {
        this.#news.push(event);
        this.#wake.resolve();
        this.#wake = Promise.withResolvers();
      }
    };
    // A client that is closed tells nothing more: whoever waits for it says so by itself.
    follow().catch(() => undefined);
  }

  async hears<Kind extends News['kind']>(
    kind: Kind,
    is: (event: Extract<News, { kind: Kind }>) => boolean,
  ): Promise<Extract<News, { kind: Kind }>> {
    const isIt = (event: News): event is Extract<News, { kind: Kind }> =>
      event.kind === kind && is(event as Extract<News, { kind: Kind }>);
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new CannotStart(`nothing of the kind "${kind}" came within a minute`)),
      STEP_MS,
    );
    try {
      for (;;) {
        const found = this.#news.find(isIt);
        if (found !== undefined) return found;
        await Promise.race([this.#wake.promise, late.promise]);
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

/** None where nobody asks for codes. */
async function inviteCodes({ authentication, operator, domain }: ProbeConfig) {
  if (authentication === undefined || operator === undefined) return undefined;
  const [cert, key, ca] = await Promise.all(
    [operator.cert, operator.key, operator.ca].map((file) => readFile(file, 'utf8')),
  );
  if (cert === undefined || key === undefined || ca === undefined) return undefined;
  using channel = connectPeer(authentication, { domain, name: 'as' }, { cert, key, ca });
  const admin = clientOf(AuthenticationAdminServiceDefinition, channel);
  const { codes } = await admin.createInvites({ count: 2, validDays: 1 });
  return codes;
}
