import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CannotStart } from '@roost/core/cannot-start';

/** The texts of a Secret, by their names. */
export type Texts = Readonly<Record<string, string>>;

export interface Kept {
  readonly texts: Texts;
  /** Which state of it was read. */
  readonly version: string;
}

export interface NewSecret {
  readonly name: string;
  readonly texts: Texts;
  readonly labels: Texts;
  readonly type: 'Opaque' | 'kubernetes.io/tls';
}

/** Where Secrets are kept. */
export interface Vault {
  readonly find: (name: string) => Promise<Kept | undefined>;
  /** False where somebody else was faster: then theirs counts. */
  readonly create: (secret: NewSecret) => Promise<boolean>;
  /** Only if nobody changed it since it was read. */
  readonly replace: (secret: NewSecret, kept: Kept) => Promise<void>;
}

export interface Account {
  /** `https://host:port` of the Kubernetes API. */
  readonly api: string;
  /** A folder with `token` and `namespace`, as Kubernetes mounts it. */
  readonly folder: string;
}

/** The Secrets of the namespace of a service account, with nothing but its rights. */
export function kubernetesVault(account: Account): Vault {
  return {
    async find(name) {
      const response = await ask(account, 'GET', `/${name}`);
      if (response.status === 404) return undefined;
      const found = (await bodyOf(response, `read ${name}`)) as {
        readonly data?: Texts;
        readonly metadata: { readonly resourceVersion: string };
      };
      const texts = Object.entries(found.data ?? {}).map(
        ([key, value]) => [key, Buffer.from(value, 'base64').toString()] as const,
      );
      return { texts: Object.fromEntries(texts), version: found.metadata.resourceVersion };
    },
    async create(secret) {
      const response = await ask(account, 'POST', '', objectOf(secret));
      if (response.status === 409) return false;
      await bodyOf(response, `create ${secret.name}`);
      return true;
    },
    async replace(secret, { version }) {
      const response = await ask(account, 'PUT', `/${secret.name}`, objectOf(secret, version));
      await bodyOf(response, `replace ${secret.name}`);
    },
  };
}

function objectOf({ name, texts, labels, type }: NewSecret, resourceVersion?: string) {
  const metadata = { name, labels, ...(resourceVersion === undefined ? {} : { resourceVersion }) };
  return { apiVersion: 'v1', kind: 'Secret', metadata, type, stringData: texts };
}

const TIMEOUT_MS = 20_000;

async function ask(
  { api, folder }: Account,
  method: string,
  path: string,
  body?: unknown,
): Promise<Response> {
  // Tokens are renewed while they are used.
  const [token, namespace] = await Promise.all([
    readMounted(folder, 'token'),
    readMounted(folder, 'namespace'),
  ]);
  const url = `${api}/api/v1/namespaces/${namespace}/secrets${path}`;
  return await fetch(url, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).catch((error: unknown) => {
    throw new CannotStart(`the Kubernetes API at ${api} does not answer (${String(error)})`, {
      cause: error,
    });
  });
}

async function readMounted(folder: string, name: string): Promise<string> {
  const text = await readFile(join(folder, name), 'utf8').catch((error: unknown) => {
    throw new CannotStart(`${folder} has no ${name}: this runs in a pod with a service account`, {
      cause: error,
    });
  });
  return text.trim();
}

async function bodyOf(response: Response, what: string): Promise<unknown> {
  if (response.ok) return await response.json();
  throw new CannotStart(`Kubernetes refused to ${what}: ${response.status}`);
}
