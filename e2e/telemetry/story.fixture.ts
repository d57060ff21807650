import type { World } from '@roost/e2e/world';
import { connectTwo, Witness } from '@roost/e2e/witness';
import type { ExportedSpan } from './otlp.ts';
import { traces } from './tree.ts';

/** Two people who talk while both listen. */
export async function talk(world: World, prefix: string, texts: readonly string[]): Promise<void> {
  await using alice = await Witness.come(world.door, `${prefix}-alice`);
  await using bob = await Witness.come(world.door, `${prefix}-bob`);
  const dm = await connectTwo(alice, bob);
  for (const text of texts) {
    await (
      await alice.client.send(dm, text)
    ).sent;
    await bob.hears(text);
  }
}

/** The traces of messages, those first that were pushed to a listener. */
export function messageTraces(spans: readonly ExportedSpan[]): ExportedSpan[][] {
  const sent = traces(spans).filter((trace) => namesIn(trace).some(isSending));
  return sent.toSorted((a, b) => pushes(b) - pushes(a));
}

export function namesIn(trace: readonly ExportedSpan[]): string[] {
  return trace.map(({ name }) => name);
}

export function isSending(name: string): boolean {
  return name.endsWith('DeliveryService/SendMessage');
}

/** The names from the beginning of a trace down to a span of it. */
export function pathTo(trace: readonly ExportedSpan[], name: string): string[] {
  const path: string[] = [];
  let at = trace.find((span) => span.name === name);
  while (at !== undefined) {
    path.unshift(at.name);
    const { parentId } = at;
    at = trace.find(({ spanId }) => spanId === parentId);
  }
  return path;
}

function pushes(trace: readonly ExportedSpan[]): number {
  return namesIn(trace).filter((name) => name === 'qs push').length;
}
