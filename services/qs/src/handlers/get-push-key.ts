import type { Dependencies, QueueHandlers } from './dependencies.ts';

export function getPushKey({ push }: Dependencies): QueueHandlers['getPushKey'] {
  return async () => ({ publicKey: push.publicKey });
}
