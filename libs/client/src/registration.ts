import { Failure } from '@roost/core/failure';
import { ClientId, parseDomain, parseUserName, printId, printUserName } from '@roost/core/ids';
import { type Clock, DAY_MS } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import { makeConnectionPackage } from '@roost/identity/connection';
import { makeClientCredentialRequest, readClientCredential } from '@roost/identity/credentials';
import { AuthenticationServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import { clientOf, type Transport } from '@roost/rpc/call';
import { accountOf, changeAccount, type Core } from './core.ts';
import { isAway } from './lanes.ts';
import type { Ledger } from './ledger.ts';
import { clientSigner, newKeySigner } from './signers.ts';
import { type Account, accounts, type ConnectionKey, type Credentials, SELF } from './state.ts';

/** Who wants to register, and by which invitation. */
export interface Applicant {
  readonly userName: string;
  readonly inviteCode?: string | undefined;
}

/** How long a connection package is good; older ones still open what was sealed to them. */
const CONNECTION_MS = 60 * DAY_MS;
const CONNECTIONS_KEPT = 4;

/**
 * Draws all keys of a new account and writes them down, before anybody hears of them. An applicant
 * of the same name who was interrupted goes on.
 */
export async function draftAccount(
  parts: { readonly ledger: Ledger; readonly crypto: Crypto; readonly transport: Transport },
  { userName, inviteCode = '' }: Applicant,
): Promise<Account> {
  const { ledger, crypto, transport } = parts;
  const known = ledger.get(accounts, SELF);
  const { getHomeserver } = clientOf(AuthenticationServiceDefinition, transport);
  // Tried once more, as every call is where nobody answered.
  const homeserver = await getHomeserver({}).catch((error: unknown) => {
    if (isAway(error)) return getHomeserver({});
    throw error;
  });
  const domain = parseDomain(homeserver.domain);
  if (homeserver.protocolVersion !== PROTOCOL_VERSION) {
    throw new Failure('METHOD_UNKNOWN', 'the homeserver speaks another version of the protocol');
  }
  const name = parseUserName(userName, domain);
  if (name.domain !== domain) {
    throw new Failure('FEDERATION_DENIED', `this homeserver has names of ${domain} alone`);
  }
  const printed = printUserName(name);
  if (known?.userName === printed) return known;
  if (known?.isRegistered === true) {
    throw new Failure('ALREADY_EXISTS', `this store belongs to ${known.userName}`);
  }
  const { ed25519, x25519 } = crypto;
  const account: Account = {
    userName: printed,
    domain,
    registrationId: crypto.random(16),
    inviteCode,
    signing: ed25519.generate(),
    recovery: ed25519.generate(),
    connections: [],
    qsUserKey: ed25519.generate(),
    qsClientKey: ed25519.generate(),
    queueKey: x25519.generate(),
    friendshipKey: crypto.random(32),
    isRegistered: false,
    friendshipVersion: 0n,
  };
  await ledger.turn((turn) => turn.put(accounts, SELF, account));
  return account;
}

const PROTOCOL_VERSION = 1;

type RegistrationCore = Pick<Core, 'ledger' | 'crypto' | 'clock' | 'caller' | 'trust'>;

/** Takes an account through both steps of registration, from wherever it stands. */
export async function registerAccount(core: RegistrationCore, inviteCode?: string): Promise<void> {
  await core.trust.refresh();
  if (accountOf(core).credentials === undefined) await begin(core, inviteCode);
  if (!accountOf(core).isRegistered) await finish(core);
}

async function begin(core: RegistrationCore, inviteCode: string | undefined): Promise<void> {
  const { crypto, caller, ledger } = core;
  const account = accountOf(core);
  const { registrationId, userName, signing } = account;
  const request = {
    registrationId,
    userName,
    credentialRequest: credentialRequest(crypto, account),
    inviteCode: inviteCode ?? account.inviteCode,
  };
  const response = await caller
    .ask({ sign: newKeySigner(signing) }, (options) =>
      caller.services.authentication.beginRegistration(request, options),
    )
    .catch(async (error: unknown) => {
      // A name that is refused leaves nothing behind, so that another may be asked for.
      const isRefused = error instanceof Failure && REFUSALS.has(error.reason);
      if (isRefused) await ledger.turn((turn) => turn.delete(accounts, SELF));
      throw error;
    });
  const client = ClientId.parse(response.clientId, 'client_id');
  const credentials = checkedCredentials(core, account, client, response);
  const connection = newConnection(core, account, credentials);
  await ledger.turn((turn) => changeAccount(turn, { credentials, connections: [connection] }));
}

const REFUSALS: ReadonlySet<string> = new Set([
  'NAME_TAKEN',
  'MALFORMED',
  'INVITE_REQUIRED',
  'FEDERATION_DENIED',
  'NOT_ALLOWED',
]);

async function finish(core: RegistrationCore): Promise<void> {
  const { caller, ledger } = core;
  const { registrationId, connections } = accountOf(core);
  const connectionPackage = connections[0]?.connectionPackage ?? new Uint8Array(0);
  await caller.ask({ sign: clientSigner(core) }, (options) =>
    caller.services.authentication.finishRegistration(
      { registrationId, connectionPackage },
      options,
    ),
  );
  await ledger.turn((turn) => changeAccount(turn, { isRegistered: true }));
}

/** Has the credential signed anew, with a new connection package, where either ends soon. */
export async function renewAccount(core: RegistrationCore): Promise<void> {
  const { crypto, caller, clock, ledger } = core;
  const account = accountOf(core);
  const { credentials } = account;
  if (credentials === undefined) return;
  const soonMs = clock.now() + RENEWED_BEFORE_MS;
  if (credentials.notAfterMs < soonMs) {
    const request = { credentialRequest: credentialRequest(crypto, account) };
    const response = await caller.ask({ sign: clientSigner(core) }, (options) =>
      caller.services.authentication.renewCredential(request, options),
    );
    const renewed = checkedCredentials(core, account, credentials.client, response);
    await ledger.turn((turn) => changeAccount(turn, { credentials: renewed }));
  }
  if ((accountOf(core).connections[0]?.notAfterMs ?? 0) < soonMs) await renewConnection(core);
}

const RENEWED_BEFORE_MS = 30 * DAY_MS;

async function renewConnection(core: RegistrationCore): Promise<void> {
  const { caller, ledger } = core;
  const account = accountOf(core);
  if (account.credentials === undefined) return;
  const connection = newConnection(core, account, account.credentials);
  const connections = [connection, ...account.connections].slice(0, CONNECTIONS_KEPT);
  await ledger.turn((turn) => changeAccount(turn, { connections }));
  const { connectionPackage } = connection;
  const price = { token: 'general' as const, sign: clientSigner(core) };
  await caller.ask(price, (options) =>
    caller.services.authentication.publishConnectionPackage({ connectionPackage }, options),
  );
}

function credentialRequest(crypto: Crypto, { signing, recovery }: Account): Uint8Array {
  return makeClientCredentialRequest(crypto, signing, crypto.sha256(recovery.publicKey));
}

/** Refuses credentials that are not for our key and name: the AS would speak for somebody else. */
function checkedCredentials(
  { crypto, trust }: RegistrationCore,
  account: Account,
  client: ClientId,
  issued: { readonly clientCredential: Uint8Array; readonly nameBinding: Uint8Array },
): Credentials {
  const { clientCredential, nameBinding } = issued;
  const identity = trust.identityOf(clientCredential, nameBinding);
  const isOurs =
    identity.userName === account.userName &&
    printId(identity.client) === printId(client) &&
    crypto.equal(identity.clientKey, account.signing.publicKey) &&
    crypto.equal(identity.recoveryKeyHash, crypto.sha256(account.recovery.publicKey));
  if (!isOurs) throw new Failure('UNAUTHENTICATED', 'the homeserver issued another credential');
  const { notAfter } = readClientCredential(clientCredential);
  return { client, clientCredential, nameBinding, notAfterMs: notAfter };
}

function newConnection(
  { crypto, clock }: { readonly crypto: Crypto; readonly clock: Clock },
  { signing }: Account,
  { clientCredential, notAfterMs }: Credentials,
): ConnectionKey {
  const pair = crypto.x25519.generate();
  const notAfter = Math.min(notAfterMs, clock.now() + CONNECTION_MS);
  const content = { hpkeKey: pair.publicKey, notAfter, clientCredential };
  const connectionPackage = makeConnectionPackage(crypto, signing.privateKey, content);
  return { pair, connectionPackage, notAfterMs: notAfter };
}
