import { inSpan, traceBytes } from '@roost/bus/trace';
import { equal } from '@roost/core/bytes';
import { Failure, malformed } from '@roost/core/failure';
import { parseApplication } from '@roost/mls/message';
import type {
  SendMessageRequest,
  SendMessageResponse,
} from '@roost/proto/roost/delivery/v1/delivery';
import type { Batcher } from '../batcher.ts';
import { earOf, mlsGroupId, tlsOf } from '../desk.ts';
import type { Desk } from '../desk.ts';
import { tend } from '../tend.ts';
import type { Outcome, Send } from '../sender.ts';

export async function sendMessage(
  desk: Desk,
  batcher: Batcher<Send, Outcome>,
  request: SendMessageRequest,
  key: Uint8Array,
): Promise<SendMessageResponse> {
  desk.backlog.assertRoom();
  const ear = earOf(desk, request);
  const tls = tlsOf(request.message, 'message');
  const { messageBytesMax } = desk.config.limits;
  if (tls.length > messageBytesMax) {
    throw new Failure('TOO_LARGE', `a message is at most ${messageBytesMax} bytes long`);
  }
  const message = parseApplication(tls);
  if (!equal(message.groupId, mlsGroupId(ear.groupId))) {
    throw malformed('message', 'is for another group than group_id');
  }
  const outcome = await inSpan('ds accept', 'inside', () =>
    batcher.submit({ ear, key, message, trace: traceBytes() }),
  );
  if ('refusal' in outcome) throw outcome.refusal;
  if (outcome.seemsDue) await tend(desk, ear, key);
  return { acceptedAtMs: outcome.acceptedAtMs };
}
