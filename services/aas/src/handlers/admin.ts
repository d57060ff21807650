import type {
  IssuerKey,
  ListIssuerKeysResponse,
  TokenAdminServiceDefinition,
} from '@roost/proto/roost/tokens/v1/admin';
import { IssuerKeyState } from '@roost/proto/roost/tokens/v1/admin';
import type { Handlers } from '@roost/rpc/service';
import { type KeyState, stateOf } from '../domain/rotation.ts';
import type { KeyRing } from '../key-ring.ts';
import type { Dependencies } from './tokens.ts';

/** What the operator asks of the issuer keys. */
export function tokenAdminHandlers({
  clock,
  events,
  ring,
}: Dependencies): Handlers<typeof TokenAdminServiceDefinition> {
  const listed = async (): Promise<ListIssuerKeysResponse> => ({
    keys: keysOf(await ring.known(), clock.now()),
  });
  return {
    async listIssuerKeys() {
      return await listed();
    },

    async rotateIssuerKeys({ isVoid }) {
      await ring.replace({ isVoid });
      events.keysReplaced(isVoid);
      return await listed();
    },
  };
}

const STATES: Readonly<Record<Exclude<KeyState, 'retired'>, IssuerKeyState>> = {
  next: IssuerKeyState.NEXT,
  current: IssuerKeyState.CURRENT,
  previous: IssuerKeyState.PREVIOUS,
};

type Known = Awaited<ReturnType<KeyRing['known']>>;

function keysOf(known: Known, now: number): IssuerKey[] {
  const keys = known.flatMap((key): IssuerKey[] => {
    const state = stateOf(key, now);
    if (state === 'retired') return [];
    return [
      {
        tokenClass: key.classNumber,
        tokenKeyId: key.tokenKeyId,
        state: STATES[state],
        issuesFromMs: BigInt(key.issuesFrom),
        issuesUntilMs: BigInt(key.issuesUntil),
        redeemsUntilMs: BigInt(key.redeemsUntil),
      },
    ];
  });
  return keys.toSorted((a, b) => a.tokenClass - b.tokenClass);
}
