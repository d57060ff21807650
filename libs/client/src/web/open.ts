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

/**
 * Opens the client of a browser, or registers one there; `undefined` where another page has it open.
 */
export async function openWebClient(options: WebClientOptions) {
  const { name, baseUrl, userName, inviteCode, report } = options;
  const store = await WebStore.open(name);
  if (store === undefined) return undefined;
  const ports = { store, transport: connectWeb(baseUrl), crypto: webCrypto, report };
  try {
    const isKnown = (await Client.userIn(store)) !== undefined;
    const client = isKnown
      ? await Client.open(ports)
      : await Client.register({ ...ports, userName, inviteCode });
    const close = async (): Promise<void> => {
      await client.close();
      store[Symbol.dispose]();
    };
    return { client, close };
  } catch (error) {
    store[Symbol.dispose]();
    throw error;
  }
}
