/**
 * Ends with the first SIGINT or SIGTERM, for the caller to end in order. A second one does not wait:
 * call it early, so that it holds from the start on.
 */
export async function shutdownSignal(): Promise<NodeJS.Signals> {
  return await new Promise((resolve) => {
    let asked = false;
    const heard = (signal: NodeJS.Signals): void => {
      if (asked) process.exit(FORCED);
      asked = true;
      resolve(signal);
    };
    process.on('SIGINT', heard);
    process.on('SIGTERM', heard);
  });
}

/** As a shell reports a process that SIGINT ended. */
const FORCED = 130;
