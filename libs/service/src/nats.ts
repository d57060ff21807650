import { SEALED_BYTES_MAX } from '@roost/bus/frames';
import { Nats } from '@roost/bus/nats';
import { readCaFile } from './ca-file.ts';
import type { Log } from './log.ts';
import type { natsConfig } from './process-config.ts';

/** A batch ends with the event that brings it to 1 MiB, which may be of the largest; and the frames around. */
const PAYLOAD_BYTES_MAX = SEALED_BYTES_MAX + (2 << 20);

/** Begins to connect to NATS as the variables say, as this service. */
export async function openNats(
  service: string,
  { caFile, ...config }: ReturnType<typeof natsConfig>,
  log: Log,
): Promise<Nats> {
  const ca = await readCaFile('ROOST_NATS_CA', caFile);
  const events = log.named('nats');
  return new Nats({
    ...{ ...config, ca, service, payloadBytesMax: PAYLOAD_BYTES_MAX },
    changed: (sentence, isThere) =>
      isThere ? events.info({}, `NATS: ${sentence}`) : events.warn({}, `NATS: ${sentence}`),
  });
}
