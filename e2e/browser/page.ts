import type { ClientEvent } from '@roost/client/client';
import { openWebClient, type WebClient } from '@roost/client/web/open';
import { Failure } from '@roost/core/failure';
import { connectWeb } from '@roost/rpc/web';

/** Bundled into the page of the stories: an application around the client, as small as can be. */
export interface Application {
  readonly events: readonly ClientEvent[];
  /** How the client ended; empty while it runs. */
  readonly ended: string;
  /** What nobody answers for. */
  readonly reports: readonly string[];
  open(options: { baseUrl: string; userName: string; inviteCode?: string }): Promise<Heard>;
  connect(name: string): Promise<Heard>;
  accept(name: string): Promise<Heard>;
  /** Resolves when the homeserver has it. */
  send(chat: string, text: string): Promise<Heard>;
  /** Sender and text of the last lines. */
  history(chat: string): Promise<readonly (readonly [sender: string, text: string])[]>;
  /** Calls by hand what the client would never call like that. */
  call(baseUrl: string, path: string, call: Bare): Promise<Heard>;
}

export interface Bare {
  readonly authorization?: string | undefined;
  /** So many zeros as request. */
  readonly bytes?: number | undefined;
}

/** An answer, or the reason of the refusal. */
export type Heard = { readonly value: string } | { readonly refused: string };

const events: ClientEvent[] = [];
const reports: string[] = [];
let opened: WebClient | undefined;
let ended = '';

async function open(options: { baseUrl: string; userName: string; inviteCode?: string }) {
  const report = (error: unknown): void => void reports.push(String(error));
  const web = await openWebClient({ ...options, name: `roost ${options.userName}`, report });
  opened = web;
  void web.ended.then((how) => (ended = how));
  void (async () => {
    for await (const event of web.client.events()) events.push(event);
  })();
  return web.client.userName;
}

function client() {
  if (opened === undefined) throw new Error('the page opens its client first');
  return opened.client;
}

async function hear(run: () => Promise<string>): Promise<Heard> {
  try {
    return { value: await run() };
  } catch (error) {
    return { refused: error instanceof Failure ? error.reason : String(error) };
  }
}

const application: Application = {
  events,
  reports,
  get ended() {
    return ended;
  },
  open: async (options) => hear(async () => open(options)),
  connect: async (name) => hear(async () => client().connect(name)),
  accept: async (name) => hear(async () => client().accept(name)),
  send: async (chat, text) =>
    hear(async () => {
      const { sent } = await client().send(chat, text);
      await sent;
      return '';
    }),
  history: async (chat) =>
    (await client().history(chat, 100)).map(({ sender, text }) => [sender, text] as const),
  call: async (baseUrl, path, { authorization, bytes = 0 }) =>
    hear(async () => {
      const request = new Uint8Array(bytes);
      const rest = { proof: undefined, deadlineMs: undefined, signal: undefined };
      const answer = await connectWeb(baseUrl).unary({ path, request, authorization, ...rest });
      return `${answer.length} bytes`;
    }),
};

declare global {
  interface Window {
    roost: Application;
  }
}
window.roost = application;
