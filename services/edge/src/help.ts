export const HELP = `Usage: node services/edge/src/main.ts [print [federation] [<file>] | drain | guard | --help]

print   writes the configuration of Envoy, from the rules of all methods and from the environment (the default),
        into a file where one is named; print federation: of an Envoy for other homeservers alone
drain   tells the Envoy beside it to let go, and waits until its calls have ended: before it is stopped
guard   stays beside an Envoy: drains it when it is told to stop itself (SIGTERM), and when certificates change
        drains and ends it, so that whoever started it starts it anew

ROOST_DOMAIN                    the home domain
ROOST_LISTEN                    host:port where clients come in
ROOST_DOOR_CERT, ROOST_DOOR_KEY PEM files of the public door: certificate chain and key
ROOST_TLS_CA                    PEM file: who signs the certificates between services
ROOST_TLS_CERT, ROOST_TLS_KEY   PEM files of the identity "edge"
ROOST_GATE_CERT, ROOST_GATE_KEY PEM files of the identity "gate", which asks the AAS about tokens
ROOST_AS_ADDRESS, ROOST_AAS_ADDRESS, ROOST_QS_ADDRESS, ROOST_DS_ADDRESS
                                host:port of the services, several separated by commas; a name may have many addresses
ROOST_DIRECTORY_ADDRESS         host:port where the gateway tells its directory (ROOST_DIRECTORY_LISTEN): answered at
                                /.well-known/roost-federation, which other homeservers ask for at port 443 (none)
ROOST_FEDERATION_LISTEN         host:port where other homeservers come in (none; needed by print federation), and then
ROOST_FEDERATION_CERT, ROOST_FEDERATION_KEY
                                PEM files: the certificate for the home domain
ROOST_FEDERATION_MTLS           off, preferred, required: but for off they are asked for certificates, which the
                                gateway judges (preferred)
ROOST_PEER_CERT, ROOST_PEER_KEY PEM files of the identity "peer"
ROOST_GATEWAY_ADDRESS           host:port of the gateway, as of the services
ROOST_PEER_CONNECTIONS_MAX      connections of other homeservers (5000)
ROOST_PEER_CALLS, ROOST_PEER_CALLS_PER_SECOND
                                what one address of theirs may ask this edge for: at once (2000), and again (1000)
ROOST_HEALTH_LISTEN             host:port of /livez, /readyz and /metrics
ROOST_ADMIN_LISTEN              Envoy's admin port, on the loopback (127.0.0.1:9901)
ROOST_ALLOWED_ORIGINS           origins of pages that may call, separated by commas (any)
ROOST_CONNECTIONS_MAX           connections of clients (50000)
ROOST_HEAP_MEGABYTES            memory at which nothing more is taken (1024)
ROOST_ADDRESS_CALLS, ROOST_ADDRESS_CALLS_PER_SECOND
                                what one address may ask this edge for without a token: at once (240), and again (4)
ROOST_BODY_MS                   how long a request may take to come in (60000)
ROOST_DRAIN_NOTICE_MS           how long a drain waits for load balancers to take note (5000)
ROOST_DRAIN_MS                  and how long for calls to end (20000)
ROOST_RENEW_WITHIN_MS           guard: how soon after a renewal an Envoy is started anew, at a time of its own (3600000)
OTEL_EXPORTER_OTLP_ENDPOINT     a collector of traces, http://host:4318 (none: no traces)
OTEL_TRACES_SAMPLER_ARG         which part of all calls is traced, 0 to 1 (1)
`;
