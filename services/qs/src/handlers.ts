import { ack } from './handlers/ack.ts';
import { claimAddPackages } from './handlers/claim-add-packages.ts';
import { createClient } from './handlers/create-client.ts';
import { createUser } from './handlers/create-user.ts';
import { deleteClient } from './handlers/delete-client.ts';
import type { Dependencies, QueueHandlers } from './handlers/dependencies.ts';
import { dequeue } from './handlers/dequeue.ts';
import { getPushKey } from './handlers/get-push-key.ts';
import { listen } from './handlers/listen.ts';
import { publishAddPackages } from './handlers/publish-add-packages.ts';
import { registerHandles } from './handlers/register-handles.ts';
import { registerPush } from './handlers/register-push.ts';
import { releaseHandles } from './handlers/release-handles.ts';
import { setFriendshipTokens } from './handlers/set-friendship-tokens.ts';
import { setNotificationRule } from './handlers/set-notification-rule.ts';
import { silenceHandles } from './handlers/silence-handles.ts';

export function queueHandlers(deps: Dependencies): QueueHandlers {
  return {
    createUser: createUser(deps),
    createClient: createClient(deps),
    deleteClient: deleteClient(deps),
    setFriendshipTokens: setFriendshipTokens(deps),
    registerHandles: registerHandles(deps),
    releaseHandles: releaseHandles(deps),
    silenceHandles: silenceHandles(deps),
    setNotificationRule: setNotificationRule(deps),
    getPushKey: getPushKey(deps),
    registerPush: registerPush(deps),
    publishAddPackages: publishAddPackages(deps),
    claimAddPackages: claimAddPackages(deps),
    dequeue: dequeue(deps),
    listen: listen(deps),
    ack: ack(deps),
  };
}
