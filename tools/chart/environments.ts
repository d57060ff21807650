import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { readConfig, readGuardConfig, readPeersConfig } from '../../services/edge/src/config.ts';
import { root } from '../steps.ts';
import type { Resource } from './render.ts';

interface Variable {
  readonly name: string;
  readonly value?: string;
}

interface Deployment {
  readonly template: {
    readonly spec: {
      readonly containers: readonly {
        readonly name: string;
        readonly env?: readonly Variable[];
      }[];
    };
  };
}

interface Program {
  readConfig(environment: Environment): unknown;
}

interface Module {
  readonly program?: Program;
  readonly programOf?: () => Program;
}

type Environment = Readonly<Record<string, string>>;

const SERVICES = ['as', 'aas', 'qs', 'ds', 'federation-gateway'];
const EDGES = ['edge', 'federation-edge'];

/** What lies in Secrets of the operator's. */
const SECRETS: Environment = {
  ROOST_DATABASE_URL: 'postgres://user:password@database:5432/name',
  ROOST_REDIS_URL: 'redis://:password@redis:6379',
};

/** What our programs have against what the chart tells them, and variables that none of them reads. */
export async function environmentOffences(resources: readonly Resource[]): Promise<string[]> {
  const read = variablesRead();
  const said: string[] = [];
  for (const { kind, metadata, ...rest } of resources) {
    const name = metadata.name.replace(/^roost-/, '');
    if (kind !== 'Deployment' || ![...SERVICES, ...EDGES].includes(name)) continue;
    const { template } = rest['spec'] as Deployment;
    for (const container of template.spec.containers) {
      const environment = environmentOf(container.env ?? []);
      const unread = Object.keys(environment).filter(
        (each) => each.startsWith('ROOST_') && !read.has(each),
      );
      said.push(...unread.map((each) => `${name} (${container.name}): nobody reads ${each}`));
      try {
        await tryOut(name, container.name, environment);
      } catch (error) {
        said.push(`${name} (${container.name}): ${String(error)}`);
      }
    }
  }
  return said;
}

async function tryOut(name: string, container: string, environment: Environment): Promise<void> {
  if (container === 'envoy') return;
  if (container === 'guard') {
    readGuardConfig(environment);
    // It is also what the configuration of Envoy is printed from.
    if (name === 'edge') readConfig(environment);
    else readPeersConfig(environment);
    return;
  }
  const module = (await import(join(root, `services/${name}/src/process.ts`))) as Module;
  const program = module.program ?? module.programOf?.();
  if (program === undefined) throw new Error('it has no program');
  program.readConfig(environment);
}

function environmentOf(env: readonly Variable[]): Environment {
  return Object.fromEntries(
    env.map(({ name, value }) => [name, value ?? SECRETS[name] ?? 'secret'] as const),
  );
}

/** Every variable that stands in a source: not all readers say what they read. */
function variablesRead(): ReadonlySet<string> {
  const files = globSync('{libs,services}/*/src/**/*.ts', { cwd: root });
  const text = files
    .filter((file) => !file.endsWith('.test.ts'))
    .map((file) => readFileSync(join(root, file), 'utf8'))
    .join('\n');
  return new Set([...text.matchAll(/\bROOST_[A-Z_]+\b/g)].map(([name]) => name));
}
