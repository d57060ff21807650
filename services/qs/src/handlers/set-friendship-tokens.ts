import { Failure, malformed } from '@roost/core/failure';
import { callingQsUser } from '@roost/rpc/service';
import { queueUnknown } from '../records.ts';
import { lockUser, replaceTokens } from '../store/records.ts';
import type { Dependencies, QueueHandlers } from './dependencies.ts';
import { assertCount, parseBytes, parseCount } from './parse.ts';

const TOKENS_MAX = 8_192;

export function setFriendshipTokens(deps: Dependencies): QueueHandlers['setFriendshipTokens'] {
  const { database, records } = deps;
  return async (request, context) => {
    assertCount(request.tokenHashes.length, TOKENS_MAX, 'token_hashes');
    const hashes = request.tokenHashes.map((hash) => parseBytes(hash, 32, 'token_hashes'));
    const version = parseCount(request.version, 'version');
    if (version === 0n) throw malformed('version', 'begins with 1');
    const { userId } = await records.user(callingQsUser(context));

    await database.transaction(async (tx) => {
      const [user] = await lockUser(tx, userId);
      if (user === undefined) throw queueUnknown();
      if (version < user.tokensVersion) {
        throw new Failure('ID_REUSED', 'version: a later one is set already');
      }
      if (version > user.tokensVersion) await replaceTokens(tx, userId, hashes, version);
    });

    return {};
  };
}
