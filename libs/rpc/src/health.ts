import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import { Failure } from '@roost/core/failure';

import type { Transport } from './call.ts';

/**
 * grpc.health.v1, by hand: it is not ours, so it has no access rule, and it is two fields. Watch is
 * left out; clients take UNIMPLEMENTED for "always healthy", as the protocol says.
 */
export const HEALTH_PATH = '/grpc.health.v1.Health/Check';

/** Whether the process can do its work: its doors are open and its database answers. */
export type Health = () => boolean | Promise<boolean>;

const SERVING = 1;
const NOT_SERVING = 2;

/** Answers a HealthCheckRequest. All services of a process stand and fall together. */
export async function answerHealth(request: Uint8Array, health: Health): Promise<Uint8Array> {
  try {
    const reader = new BinaryReader(request);
    while (reader.pos < reader.len) reader.skip(reader.uint32() & 7);
  } catch (error) {
    throw new Failure('MALFORMED', 'this is no HealthCheckRequest', {}, error);
  }
  const status = (await health()) ? SERVING : NOT_SERVING;
  return new BinaryWriter().uint32(8).int32(status).finish();
}

/** Whether a server answers that it serves, within a moment. */
export async function isServing(transport: Transport): Promise<boolean> {
  try {
    const request = new Uint8Array(0);
    const asked = { path: HEALTH_PATH, request, proof: undefined, authorization: undefined };
    const answer = await transport.unary({ ...asked, deadlineMs: ASK_MS, signal: undefined });
    const reader = new BinaryReader(answer);
    return reader.uint32() === 8 && reader.int32() === SERVING;
  } catch {
    return false;
  }
}

const ASK_MS = 2_000;
