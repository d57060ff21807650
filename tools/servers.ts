import { fetchServers } from '../e2e/src/servers/fetch.ts';
import { CannotStart } from '../libs/core/src/cannot-start.ts';

/** Why the real servers cannot be had here, in a sentence without its end; `undefined` once they are there. */
export async function whyNoServers(): Promise<string | undefined> {
  try {
    await fetchServers();
    return undefined;
  } catch (error) {
    if (error instanceof CannotStart) return error.message;
    throw error;
  }
}
