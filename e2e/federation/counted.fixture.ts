import { startMetrics } from '@roost/service/metrics';

/** The numbers of this process; to be started before what counts. */
export function startCounting() {
  const metrics = startMetrics({ service: 'federation-gateway', version: 'test' });
  const read = async (name: string): Promise<Map<string, number>> => {
    const page = await metrics.page();
    const found = page.matchAll(new RegExp(`^${name}\\{([^}]*)\\} (\\d+)`, 'gm'));
    return new Map(Array.from(found, ([, labels = '', value]) => [labels, Number(value)]));
  };
  return {
    /** What a counter has grown by, by its labels as they are printed, while something was done. */
    async during(name: string, work: () => Promise<void>): Promise<Record<string, number>> {
      const before = await read(name);
      await work();
      const grown = [...(await read(name))].map(
        ([labels, value]) => [labels, value - (before.get(labels) ?? 0)] as const,
      );
      return Object.fromEntries(grown.filter(([, by]) => by > 0));
    },
    [Symbol.asyncDispose]: async () => await metrics[Symbol.asyncDispose](),
  };
}
