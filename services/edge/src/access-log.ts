import { extension } from './typed.ts';

/**
 * A line for each call. It names the method (a route is called as its method) and never what a client chose to send
 * as a path, nor its address, its program or its token.
 */
export const accessLog = extension(
  'envoy.access_loggers.stdout',
  'envoy.extensions.access_loggers.stream.v3.StdoutAccessLog',
  {
    log_format: {
      json_format: {
        time: '%START_TIME%',
        method: '%ROUTE_NAME%',
        status: '%RESPONSE_CODE%',
        grpc: '%GRPC_STATUS(SNAKE_STRING)%',
        flags: '%RESPONSE_FLAGS%',
        why: '%RESPONSE_CODE_DETAILS%',
        ms: '%DURATION%',
        received: '%BYTES_RECEIVED%',
        sent: '%BYTES_SENT%',
        protocol: '%PROTOCOL%',
        service: '%UPSTREAM_CLUSTER%',
        attempts: '%UPSTREAM_REQUEST_ATTEMPT_COUNT%',
        request: '%REQ(X-REQUEST-ID)%',
      },
    },
  },
);
