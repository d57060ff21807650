/** Which headers of a call a page of another origin may send; both doors, ours and the edge's, say the same. */
export const CORS_ALLOWED_HEADERS =
  'content-type,x-grpc-web,x-user-agent,grpc-timeout,authorization,roost-proof-bin';

/** Which headers of an answer it may read. */
export const CORS_EXPOSED_HEADERS = 'grpc-status,grpc-message,grpc-status-details-bin';

/** How long a browser keeps what it was told. */
export const CORS_MAX_AGE_SECONDS = 7_200;
