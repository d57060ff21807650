import { assert } from '@roost/core/assert';
import { Failure, malformed } from '@roost/core/failure';
import {
  ClientId,
  clientWire,
  parseUserName,
  scopedWire,
  UserId,
  type Uuid,
} from '@roost/core/ids';
import {
  type AuthenticationAdminServiceDefinition,
  type Authority,
  AuthorityKind,
  type UserChoice,
  type UserSummary,
} from '@roost/proto/roost/authentication/v1/authentication';
import type { Executor } from '@roost/postgres/executor';
import type { Handlers } from '@roost/rpc/service';
import { bellOf } from '../listening.ts';
import { AUTHORITY_KINDS, type Authority as StoredAuthority } from '../store/authorities.ts';
import * as store from '../store/users.ts';
import { requireLocal, type Dependencies } from './dependencies.ts';
import { inviteHandlers } from './invites.ts';

type Admin = Handlers<typeof AuthenticationAdminServiceDefinition>;
type UserHandlers = Pick<
  Admin,
  'listUsers' | 'getUser' | 'setUserSuspended' | 'setUserAllowances' | 'deleteUser'
>;

/** All that the operator asks. */
export function operatorHandlers(parts: Dependencies): Admin {
  return { ...inviteHandlers(parts), ...userHandlers(parts), ...authorityHandlers(parts) };
}

const PAGE_USERS = 500;
const ALLOWANCE_MAX = 10_000_000;

/** What the operator does about users. */
function userHandlers(parts: Dependencies): UserHandlers {
  const { bell, crypto, database, domain, events, nameTag } = parts;
  const hangUp = (clients: readonly Uuid[]): void => {
    for (const client of clients) bell.ring(bellOf(crypto, client));
  };
  const summaryOf = (user: store.KnownUser) => summary(user, parts);
  /** Changes one user, and tells it as it is then. */
  const change = async (
    wanted: UserChoice | undefined,
    work: (tx: Executor, user: store.KnownUser) => Promise<unknown>,
  ): Promise<{ user: UserSummary }> => {
    const choice = choiceOf(wanted, parts);
    return await database.transaction(async (tx) => {
      const user = found(await store.lockKnown(tx, choice));
      await work(tx, user);
      return { user: summaryOf(found(await store.findKnown(tx, choice))) };
    });
  };
  return {
    async listUsers({ after, prefix, isSuspended }) {
      const page = { after, prefix: prefix.toLowerCase(), isSuspendedOnly: isSuspended };
      const users = await store.listUsers(database, { ...page, rowsMax: PAGE_USERS + 1 });
      const hasMore = users.length > PAGE_USERS;
      return { users: users.slice(0, PAGE_USERS).map(summaryOf), hasMore };
    },

    async getUser(request) {
      const user = found(await store.findKnown(database, choiceOf(request.user, parts)));
      const id = UserId.of(user.userUuid, domain);
      const clients = await store.findClientsOf(database, user.userUuid);
      return {
        user: summaryOf(user),
        isSearchable: user.isSearchable,
        clients: clients.map(({ clientUuid, activeMonth, directMessages }) => ({
          clientId: clientWire(ClientId.of(id, clientUuid)),
          activeMonth,
          directMessages: Number(directMessages),
        })),
      };
    },

    async setUserSuspended({ user, isSuspended }) {
      let listening: readonly Uuid[] = [];
      const changed = await change(user, async (tx, { userUuid }) => {
        await store.setSuspended(tx, userUuid, isSuspended);
        // Who listens finds at the next look that it does not any more.
        if (isSuspended) listening = await store.dismissListeners(tx, userUuid);
      });
      hangUp(listening);
      events.userChanged(isSuspended ? 'suspended' : 'unsuspended');
      return changed;
    },

    async setUserAllowances({ user, generalAllowance, contactAllowance }) {
      const general = allowance('general_allowance', generalAllowance);
      const contact = allowance('contact_allowance', contactAllowance);
      const changed = await change(user, (tx, { userUuid }) =>
        store.setAllowances(tx, userUuid, general, contact),
      );
      events.userChanged('limited');
      return changed;
    },

    async deleteUser(request) {
      const choice = choiceOf(request.user, parts);
      const clients = await database.transaction(async (tx) => {
        const { userUuid, userName } = found(await store.lockKnown(tx, choice));
        return await store.deleteUser(tx, userUuid, nameTag(userName));
      });
      hangUp(clients);
      events.userChanged('deleted');
      return { clients: clients.length };
    },
  };
}

/** What the operator asks of the AS's own keys. */
function authorityHandlers({
  crypto,
  events,
  signing,
}: Dependencies): Pick<Admin, 'listAuthorities' | 'rotateIntermediate'> {
  const authorityOf = (authority: StoredAuthority, isCurrent: boolean): Authority => ({
    kind: authority.kind === AUTHORITY_KINDS.root ? AuthorityKind.ROOT : AuthorityKind.INTERMEDIATE,
    hash: crypto.sha256(authority.credential),
    notBeforeMs: BigInt(+authority.notBefore),
    notAfterMs: BigInt(+authority.notAfter),
    isCurrent,
  });
  const listed = async (): Promise<Authority[]> => {
    const seen = new Set<number>();
    // The newest first: of each kind that one signs.
    return (await signing.known()).map((each) => {
      const isCurrent = !seen.has(each.kind);
      seen.add(each.kind);
      return authorityOf(each, isCurrent);
    });
  };
  return {
    async listAuthorities() {
      return { authorities: await listed() };
    },

    async rotateIntermediate() {
      await signing.rotate({ isForced: true });
      events.intermediateRotated();
      const authority = (await listed()).find(({ kind }) => kind === AuthorityKind.INTERMEDIATE);
      assert(authority !== undefined, 'there is an intermediate after a rotation');
      return { authority };
    },
  };
}

function choiceOf(choice: UserChoice | undefined, { domain }: Dependencies): store.Choice {
  if (choice === undefined) throw malformed('user', 'is missing');
  const { userId, userName } = choice;
  if ((userId === undefined) === (userName === '')) {
    throw malformed('user', 'has neither a name nor an id, or both');
  }
  if (userId === undefined) {
    return { userName: requireLocal(parseUserName(userName, domain), domain).name };
  }
  return { userUuid: requireLocal(UserId.parse(userId, 'user.user_id'), domain).uuid };
}

function found(user: store.KnownUser | undefined): store.KnownUser {
  if (user === undefined) throw new Failure('USER_UNKNOWN', 'there is no such user');
  return user;
}

function allowance(field: string, value: number | undefined): number | null {
  if (value !== undefined && value > ALLOWANCE_MAX) {
    throw malformed(field, `is more than ${ALLOWANCE_MAX}`);
  }
  return value ?? null;
}

function summary(user: store.KnownUser, { domain }: Dependencies): UserSummary {
  return {
    userId: scopedWire(UserId.of(user.userUuid, domain)),
    userName: user.userName,
    isSuspended: user.isSuspended,
    clients: Number(user.clients),
    generalAllowance: user.generalAllowance ?? undefined,
    contactAllowance: user.contactAllowance ?? undefined,
  };
}
