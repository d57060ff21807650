import { CannotStart } from '@roost/core/cannot-start';
import { Failure } from '@roost/core/failure';
import type { Command } from 'commander';
import { type Client, clientOf } from '@roost/rpc/client';
import type { ServiceDefinition } from '@roost/rpc/definition';
import type { Environment } from '@roost/service/config';
import { jsonOf, type Told } from './output.ts';
import {
  notThere,
  type Place,
  placeOf,
  type PlaceOptions,
  reach,
  type ServiceName,
} from './place.ts';

/** What all commands have. */
export interface Desk {
  readonly environment: Environment;
  readonly write: (text: string) => void;
  /** What they end with where nothing is thrown. */
  readonly end: (exitCode: number) => void;
}

/** Which RPCs a command asks, and of whom. */
export interface Door<D extends ServiceDefinition> {
  readonly service: ServiceName;
  readonly definition: D;
}

/** What the whole command line says, whichever command follows. */
export type Everywhere = PlaceOptions & { readonly json?: boolean };

export function placeFor(desk: Desk, command: Command): Place {
  return placeOf(command.optsWithGlobals<Everywhere>(), desk.environment);
}

/** Asks a service, and says what comes of it. */
export async function ask<D extends ServiceDefinition, T>(
  place: Place,
  { service, definition }: Door<D>,
  work: (client: Client<D>) => Promise<T>,
): Promise<T> {
  using channel = await reach(place, service);
  try {
    return await work(clientOf(definition, channel));
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    // What grpc-js says where the socket was left behind by a process that is gone.
    if (error.message.startsWith('No connection')) throw notThere(place, service);
    throw new CannotStart(`refused: ${error.message} (${error.reason})`, { cause: error });
  }
}

/** In lines for people, as JSON where that is asked for. */
export function tell(desk: Desk, command: Command, { text, json }: Told): void {
  const isJson = command.optsWithGlobals<Everywhere>().json === true;
  desk.write(isJson ? `${jsonOf(json)}\n` : text);
}

/** A group of commands, which does nothing by itself. */
export function group(program: Command, name: string, description: string): Command {
  return program.command(name).description(description);
}

/** What stands below the help of a command. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  roostctl ${line}\n`).join('')}`;
}
