import { Failure } from '@roost/core/failure';
import { type Door, connectTo, connectWebTo } from '@roost/e2e/door';
import { fromBase64 } from '@roost/rpc/frames';
import { errorOf } from '@roost/rpc/status';
import { ClientError, createChannel, createClientFactory, Metadata } from 'nice-grpc-web';
import type { Call } from './asking.fixture.ts';

/** A refusal as a program meets it. */
export interface Refusal {
  readonly reason: string;
  readonly message: string;
  readonly facts: object;
}

/** What each of three clients makes of a call: grpc-js, our own of browsers, and one that is not ours. */
export async function heardByClients(
  door: Door,
  make: () => Promise<Call> | Call,
): Promise<Refusal[]> {
  const outgoing = async () => {
    const { path, request = new Uint8Array(0), authorization } = await make();
    const deadlineMs = 20_000;
    return { path, request, authorization, deadlineMs, proof: undefined, signal: undefined };
  };
  using channel = connectTo(door);
  return [
    await refusalOf(channel.unary(await outgoing())),
    await refusalOf(connectWebTo(door).unary(await outgoing())),
    await refusalOf(byNiceGrpcWeb(door, await make())),
  ];
}

async function refusalOf(answered: Promise<unknown>): Promise<Refusal> {
  try {
    await answered;
  } catch (error) {
    if (error instanceof Failure) {
      return { reason: error.reason, message: error.message, facts: error.facts };
    }
    return { reason: String(error), message: '', facts: {} };
  }
  return { reason: 'OK', message: '', facts: {} };
}

const raw = {
  encode: (bytes: Uint8Array) => ({ finish: () => bytes }),
  decode: (bytes: Uint8Array) => bytes,
  fromPartial: (bytes: Uint8Array) => bytes,
};

async function byNiceGrpcWeb(door: Door, { path, request, authorization }: Call): Promise<void> {
  const [, fullName = '', name = ''] = path.split('/');
  const types = {
    requestType: raw,
    requestStream: false,
    responseType: raw,
    responseStream: false,
  } as const;
  const definition = {
    ...{ name: fullName, fullName },
    methods: { call: { name, ...types, options: {} } },
  } as const;
  const metadata = Metadata(authorization === undefined ? {} : { authorization });
  let trailer = Metadata();
  const channel = createChannel(`https://${door.address}`);
  const client = createClientFactory().create<typeof definition>(definition, channel);
  try {
    await client.call(request ?? new Uint8Array(0), {
      metadata,
      onHeader: (heard) => (trailer = Metadata(heard)),
      onTrailer: (heard) => (trailer = Metadata(heard)),
    });
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    const bin = trailer.get('grpc-status-details-bin');
    const details = typeof bin === 'string' ? fromBase64(bin) : bin;
    const status = { code: error.code, message: error.details };
    throw errorOf(details === undefined ? status : { ...status, details });
  }
}
