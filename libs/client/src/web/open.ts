import { webCrypto } from '@roost/crypto/web';
import { connectWeb } from '@roost/rpc/web';
import { Client } from '../client.ts';
import { WebStore } from './store.ts';

export interface WebClientOptions {
  /** Names the IndexedDB database; one client each. */
  readonly name: string;
  /** `https://host[:port]` of the homeserver. */
  readonly baseUrl: string;
  readonly userName: string;
  readonly inviteCode?: string | undefined;
  readonly report?: ((error: unknown) => void) | undefined;
}

export interface WebClient {
  readonly client: Client;
  /** Resolves when the client has closed: by `close`, or because a newer page took it over. */
  readonly ended: Promise<'closed' | 'taken over'>;
  readonly close: () => Promise<void>;
}

/**
 * Opens the client of a browser, or registers one there. A page that has it open already hears of it by `ended`
 * and stops. While it runs, it comes back at once when the network does or when somebody looks at the page.
 */
export async function openWebClient(options: WebClientOptions): Promise<WebClient> {
  const { name, baseUrl, userName, inviteCode, report } = options;
  const store = await WebStore.open(name);
  const ports = { store, transport: connectWeb(baseUrl), crypto: webCrypto, report };
  try {
    const isKnown = (await Client.userIn(store)) !== undefined;
    const client = isKnown
      ? await Client.open(ports)
      : await Client.register({ ...ports, userName, inviteCode });
    return run(client, store);
  } catch (error) {
    store[Symbol.dispose]();
    throw error;
  }
}

function run(client: Client, store: WebStore): WebClient {
  const unwatch = watch(client);
  const { promise: ended, resolve: end } = Promise.withResolvers<'closed' | 'taken over'>();
  let closing: Promise<void> | undefined;
  const close = async (how: 'closed' | 'taken over'): Promise<void> => {
    unwatch();
    try {
      await client.close();
    } finally {
      store[Symbol.dispose]();
      end(how);
    }
  };
  const closeOnce = async (how: 'closed' | 'taken over'): Promise<void> => (closing ??= close(how));
  void store.wanted.then(async () => closeOnce('taken over'));
  return { client, ended, close: async () => closeOnce('closed') };
}

/** Tells when the line may be back. A worker has no page that could be looked at. */
function watch(client: Client): () => void {
  const page = 'document' in globalThis ? globalThis.document : undefined;
  const looked = (): void => {
    if (page?.visibilityState === 'visible') client.hurry();
  };
  const back = (): void => client.hurry(true);
  globalThis.addEventListener('online', back);
  page?.addEventListener('visibilitychange', looked);
  return () => {
    globalThis.removeEventListener('online', back);
    page?.removeEventListener('visibilitychange', looked);
  };
}
