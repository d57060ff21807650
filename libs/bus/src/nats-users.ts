/**
 * Who may do what in NATS, for its configuration (`authorization`): each service sees what it has to, and
 * nothing else, so that who takes over one service can neither deliver as the DS nor hear whose bells ring.
 */
export interface NatsPermissions {
  readonly publish: { readonly allow: readonly string[] };
  readonly subscribe: { readonly allow: readonly string[] };
  /** May answer what it was asked, once and soon, wherever the answer goes. */
  readonly allow_responses?: { readonly max: number; readonly ttl: string };
}

export type NatsUser = 'as' | 'ds' | 'qs' | 'federation-gateway';

/** `prefix` is that of the homeserver (ROOST_NATS_PREFIX); `*` stands for any, where a test shares a server. */
export function natsPermissions(prefix: string): Readonly<Record<NatsUser, NatsPermissions>> {
  const inbox = (user: NatsUser): string => `${prefix}.inbox.${user}.>`;
  const bells = (user: NatsUser): string => `${prefix}.bell.${user}.*`;
  const [fanOut, federate] = [`${prefix}.fanout.*`, `${prefix}.federate.*`];
  return {
    as: {
      publish: { allow: [bells('as')] },
      subscribe: { allow: [bells('as'), inbox('as')] },
    },
    ds: {
      publish: { allow: [fanOut, federate, bells('ds')] },
      subscribe: { allow: [bells('ds'), inbox('ds')] },
    },
    qs: {
      publish: { allow: [bells('qs')] },
      // Of a queue group only: the QS cannot listen in on what another of it was given.
      subscribe: { allow: [`${fanOut} qs`, bells('qs'), inbox('qs')] },
      allow_responses: { max: 1, ttl: '1m' },
    },
    // What other hubs deliver goes on as what our own does; what ours has for others is taken as the QS takes its part.
    'federation-gateway': {
      publish: { allow: [fanOut, bells('federation-gateway')] },
      subscribe: {
        allow: [`${federate} gateway`, bells('federation-gateway'), inbox('federation-gateway')],
      },
      allow_responses: { max: 1, ttl: '1m' },
    },
  };
}
