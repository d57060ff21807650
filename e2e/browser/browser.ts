import { createHash, X509Certificate } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { assert } from '@roost/core/assert';
import { findChromium } from '@roost/e2e/servers/chromium';
import { Run } from '@roost/e2e/servers/run';
import { build } from 'esbuild';
import { type Browser as Chromium, launch } from 'puppeteer-core';
import { Tab } from './tab.ts';

/**
 * A headless Chromium with storage of its own, and the web server of an application whose origin is not the
 * homeserver's. It believes the certificates with these keys, and besides them those that every browser believes.
 */
export class Browser implements AsyncDisposable {
  readonly #chromium: Chromium;
  readonly #site: Server;
  readonly #origin: string;

  private constructor(chromium: Chromium, site: Server, origin: string) {
    this.#chromium = chromium;
    this.#site = site;
    this.#origin = origin;
  }

  static async open(certificates: readonly string[]): Promise<Browser> {
    const run = Run.current();
    const site = createServer(answer(await bundle()));
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
    const address = site.address();
    assert(address !== null && typeof address === 'object', 'a server that listens has a port');
    const pins = certificates.map(keyHash).join(',');
    const chromium = await launch({
      executablePath: await findChromium(),
      userDataDir: run.makeFolder('chromium'),
      args: [
        `--ignore-certificate-errors-spki-list=${pins}`,
        // Its sandbox needs a user who is not root.
        ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
        ...['--disable-dev-shm-usage', '--disable-component-update', '--no-first-run'],
      ],
    });
    const { pid } = chromium.process() ?? {};
    assert(pid !== undefined, 'a browser that was launched has a process');
    run.register(pid);
    chromium.process()?.once('exit', () => run.forget(pid));
    return new Browser(chromium, site, `http://127.0.0.1:${address.port}`);
  }

  /** A tab with the application; it opens no client yet. */
  async tab(): Promise<Tab> {
    return Tab.open(await this.#chromium.newPage(), this.#origin);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#chromium.close();
    this.#site.closeAllConnections();
    await new Promise((resolve) => this.#site.close(resolve));
  }
}

async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, 'page.ts')],
    ...{ bundle: true, write: false, minify: true },
    ...{ format: 'esm', platform: 'browser', target: 'es2022' },
  });
  const [file] = outputFiles;
  assert(file !== undefined, 'one page makes one bundle');
  return file.text;
}

function answer(script: string): Parameters<typeof createServer>[1] {
  return ({ url }, response) => {
    const isScript = url === '/page.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(
      isScript ? script : '<!doctype html><script type="module" src="/page.js"></script>',
    );
  };
}

/** As `--ignore-certificate-errors-spki-list` names a key. */
function keyHash(certificate: string): string {
  const spki = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('base64');
}
