import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';

/** Something that is no call, and that anybody may read. */
export interface Page {
  readonly type: string;
  readonly body: string;
  /** How long a reader may keep it; not at all where nothing is said. */
  readonly maxAgeS?: number | undefined;
}

/** By their exact paths; made anew for each reader. */
export type Pages = ReadonlyMap<string, () => Page>;

/** Answers whoever asks for a page over HTTP/2; says whether somebody did. */
export function tellPage(
  pages: Pages,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): boolean {
  const page = pageFor(pages, headers[':method'], headers[':path']);
  if (page === undefined) return false;
  stream.respond({ ':status': 200, ...headersOf(page) });
  if (headers[':method'] === 'HEAD') stream.end();
  else stream.end(page.body);
  // What the reader still sends is not read.
  if (!stream.readableEnded) stream.once('finish', () => stream.close(constants.NGHTTP2_NO_ERROR));
  return true;
}

/** As `tellPage`, over HTTP/1.1. */
export function tellPageTo(
  pages: Pages,
  request: IncomingMessage,
  response: ServerResponse,
): boolean {
  const page = pageFor(pages, request.method, request.url);
  if (page === undefined) return false;
  response.writeHead(200, headersOf(page)).end(page.body);
  return true;
}

function pageFor(pages: Pages, method = '', path = ''): Page | undefined {
  return method === 'GET' || method === 'HEAD' ? pages.get(path)?.() : undefined;
}

function headersOf({ type, body, maxAgeS }: Page): Record<string, string> {
  return {
    'content-type': type,
    'content-length': String(Buffer.byteLength(body)),
    'cache-control': maxAgeS === undefined ? 'no-store' : `public, max-age=${maxAgeS}`,
    'x-content-type-options': 'nosniff',
  };
}
