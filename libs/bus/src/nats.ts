import { assert } from '@roost/core/assert';
import { backoffMs, sleep } from '@roost/core/time';
import { connect, type NatsConnection } from '@nats-io/transport-node';

export interface NatsOptions {
  /** `host:port` each. */
  readonly servers: readonly string[];
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** PEM: whom to believe, where TLS is spoken. */
  readonly ca?: string | undefined;
  /** What every subject begins with, so that several homeservers can share servers. */
  readonly prefix: string;
  /** Who we are: answers to us come to an inbox of this name. */
  readonly service: string;
  /** The largest message that we send. */
  readonly payloadBytesMax: number;
  /** Hears a sentence when the servers go away and come back, and when they cannot be used. */
  readonly changed?: ((sentence: string, isThere: boolean) => void) | undefined;
}

/** What is done on a connection, once there is one. */
type Attachment = (connection: NatsConnection) => void;

/**
 * One connection to NATS, made by itself and made again when lost: core NATS alone, nothing is stored there. Whoever
 * uses it finds out by `here` whether the servers are there.
 */
export class Nats implements AsyncDisposable {
  readonly prefix: string;
  readonly #options: NatsOptions;
  readonly #closing = new AbortController();
  readonly #attachments = new Set<Attachment>();
  readonly #calls = new Set<() => void>();
  #connection: NatsConnection | undefined;
  #lost = new AbortController();
  #isThere = false;
  #trouble: string | undefined = 'it was not reached yet';
  readonly #connecting: Promise<void>;

  /** Connects by itself; does not wait for it. */
  constructor(options: NatsOptions) {
    assert(/^[A-Za-z0-9_-]+$/.test(options.prefix), 'a prefix of subjects is one word');
    this.#options = options;
    this.prefix = options.prefix;
    this.#connecting = this.#connect();
  }

  /** Whether it can be used at this moment. */
  isThere(): boolean {
    return this.#isThere && this.#trouble === undefined;
  }

  /** Why it cannot be used; `undefined` where it can. */
  why(): string | undefined {
    return this.#isThere ? this.#trouble : (this.#trouble ?? 'the connection is lost');
  }

  /** The connection, where it can be used at this moment. */
  here(): NatsConnection | undefined {
    return this.isThere() ? this.#connection : undefined;
  }

  /** Aborted when the connection is lost that is there now: what was asked over it is not answered any more. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Does something as soon as there is a connection, once; it outlives its interruptions. */
  attach(attachment: Attachment): void {
    if (this.#connection === undefined) this.#attachments.add(attachment);
    else attachment(this.#connection);
  }

  /** Calls whenever the connection is there, at first and after it was lost. */
  whenThere(call: () => void): void {
    this.#calls.add(call);
  }

  /** What was not done yet is not done any more. */
  detach(attachment: Attachment): void {
    this.#attachments.delete(attachment);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#connecting;
    this.#lose();
    await this.#connection?.close();
  }

  async #connect(): Promise<void> {
    const { servers, user, password, ca, prefix, service, changed } = this.#options;
    for (let attempt = 0; !this.#closing.signal.aborted; attempt++) {
      try {
        const connection = await connect({
          ...{ servers: [...servers], name: `${prefix} ${service}` },
          ...(user === undefined ? {} : { user }),
          ...(password === undefined ? {} : { pass: password }),
          ...(ca === undefined ? {} : { tls: { ca } }),
          // A user reads no other's answers.
          inboxPrefix: `${prefix}.inbox.${service}`,
          // What we say to ourselves does not go round by the server.
          noEcho: true,
          ...{ maxReconnectAttempts: -1, reconnectTimeWait: 250, reconnectJitter: 250 },
          // A server that is frozen is left after three pings.
          ...{ pingInterval: 2_000, maxPingOut: 2, timeout: 5_000 },
          // A password that is being changed is right a moment later.
          ignoreAuthErrorAbort: true,
        });
        this.#use(connection);
        return;
      } catch (error) {
        this.#trouble = `it cannot be reached: ${sentenceOf(error)}`;
        if (attempt === 0) changed?.(this.#trouble, false);
        await sleep(backoffMs(attempt, 100, 2_000, Math.random()), this.#closing.signal);
      }
    }
  }

  #use(connection: NatsConnection): void {
    this.#connection = connection;
    this.#found(connection);
    void this.#watch(connection);
    for (const attachment of this.#attachments) attachment(connection);
    this.#attachments.clear();
    for (const call of this.#calls) call();
  }

  #found(connection: NatsConnection): void {
    const { payloadBytesMax, changed } = this.#options;
    const allowed = connection.info?.max_payload ?? 0;
    this.#isThere = true;
    this.#trouble =
      allowed >= payloadBytesMax
        ? undefined
        : `its max_payload is ${allowed}, and our messages are up to ${payloadBytesMax} bytes: set it to 8MB`;
    if (this.#trouble === undefined) changed?.('it is there', true);
    else changed?.(this.#trouble, false);
  }

  async #watch(connection: NatsConnection): Promise<void> {
    const { changed } = this.#options;
    for await (const status of connection.status()) {
      if (status.type === 'reconnect') {
        this.#lost = new AbortController();
        this.#found(connection);
        for (const call of this.#calls) call();
      } else if (status.type === 'error') {
        changed?.(`it refuses something: ${status.error.name}`, this.#isThere);
      } else if (GONE.has(status.type)) {
        if (this.#isThere) changed?.('the connection is lost', false);
        this.#lose();
      }
    }
  }

  #lose(): void {
    this.#isThere = false;
    this.#lost.abort();
  }
}

const GONE: ReadonlySet<string> = new Set(['disconnect', 'staleConnection', 'close']);

/** The name of what went wrong: its text may hold subjects. */
function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  return error.name === 'Error' ? error.message : error.name;
}
