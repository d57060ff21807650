import type { Domain } from '@roost/core/ids';
import type { Clock } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import type { Database } from '@roost/postgres/database';
import type { MutualTls } from '@roost/rpc/peer';
import type { ServiceBinding } from '@roost/rpc/service';
import type { Environment, ListenAddress } from './config.ts';
import type { Level, Log } from './log.ts';
import type { Reachable } from './readiness.ts';
import type { TlsPaths } from './tls-files.ts';

/** What every service process is told. */
export interface ProcessConfig {
  readonly domain: Domain;
  readonly listen: ListenAddress;
  readonly healthListen: ListenAddress;
  readonly tls: TlsPaths;
  readonly database: { readonly url: string; readonly connections: number };
  readonly secrets: string;
  readonly logLevel: Level;
  /** How long the balancer in front gets to hear that this process stops, before it takes no more calls. */
  readonly drainMs: number;
  /** Grows with each restored backup. */
  readonly incarnation: number;
}

/** Something outside of the process that it can do without for a while: NATS, Redis, another service. */
export interface Connection extends Reachable, AsyncDisposable {
  /** Why it is not there, a sentence; `undefined` where it is, or nothing more is known. */
  why?(): string | undefined;
  /** Shows another certificate from now on. */
  renew?(tls: MutualTls): void;
}

/** What it takes to connect to others. */
export interface Means {
  readonly log: Log;
  readonly tls: MutualTls;
  readonly secret: (purpose: string) => Promise<Uint8Array>;
}

/** What a service is made of in a process of its own. */
export interface Basics extends Means {
  readonly domain: Domain;
  readonly incarnation: number;
  readonly database: Database;
  readonly clock: Clock;
  readonly crypto: Crypto;
}

/** A service as a program. */
export interface ServiceProgram<
  Config extends ProcessConfig,
  Connections extends Readonly<Record<string, Connection>>,
> {
  /** As its certificate and the access rules call it. */
  readonly name: string;
  readonly migrations: URL;
  /** The purposes of its secrets. */
  readonly secrets: readonly string[];
  readonly readConfig: (environment: Environment) => Config;
  /** Begins to connect; does not wait for who is away. */
  readonly connect: (config: Config, means: Means) => Promise<Connections>;
  readonly open: (config: Config, basics: Basics, connections: Connections) => Promise<OpenService>;
}

export interface OpenService {
  readonly bindings: readonly ServiceBinding[];
  /** Asks whoever listens to connect elsewhere; resolves when they have gone, or had their time. */
  drain?(): void | Promise<void>;
  /** Ends the work in the background; no call is open any more. */
  close(): Promise<void>;
}
