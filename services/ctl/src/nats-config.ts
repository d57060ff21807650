import { natsPermissions } from '@roost/bus/nats-users';

export interface NatsOrder {
  readonly prefix: string;
  /** `host:port` of each server's cluster port; none where it stands alone. */
  readonly routes: readonly string[];
  /** Whether the gateway to other homeservers is there. */
  readonly isFederated: boolean;
}

const PAYLOAD_BYTES_MAX = 8 << 20;

/**
 * What a NATS server of a homeserver is told, in its own format: who may do what, nothing on disk. Passwords are not
 * in it: the server takes them from its environment (NATS_PASSWORD_AS, _DS, _QS, _FEDERATION_GATEWAY).
 */
export function natsConfigOf({ prefix, routes, isFederated }: NatsOrder): string {
  const users = Object.entries(natsPermissions(prefix))
    .filter(([user]) => isFederated || user !== 'federation-gateway')
    .map(([user, permissions]) => {
      const variable = `NATS_PASSWORD_${user.toUpperCase().replaceAll('-', '_')}`;
      return { user, password: `$${variable}`, permissions };
    });
  const cluster = {
    ...{ name: 'roost', listen: '0.0.0.0:6222', no_advertise: true },
    routes: routes.map((each) => `nats-route://${each}`),
  };
  const config = {
    ...{ listen: '0.0.0.0:4222', http: '0.0.0.0:8222' },
    max_payload: PAYLOAD_BYTES_MAX,
    max_pending: 4 * PAYLOAD_BYTES_MAX,
    ...{ ping_interval: '5s', lame_duck_grace_period: '5s', lame_duck_duration: '30s' },
    authorization: { users },
    ...(routes.length === 0 ? {} : { cluster }),
  };
  // A variable counts only where it stands without quotes.
  return JSON.stringify(config, undefined, 2).replaceAll(/"(\$NATS_PASSWORD_[A-Z_]+)"/g, '$1');
}
