// Generates proto/gen: ts-proto's code, rules.json, the table of access rules that the edge, the
// reference page and the generated tests read, and descriptors.binpb for server reflection. Does nothing where no proto changed.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  createFileRegistry,
  fromBinary,
  getOption,
  hasOption,
  isMessage,
  toJson,
} from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';

const proto = join(import.meta.dirname, '../proto');
const bin = join(import.meta.dirname, '../node_modules/.bin');

const sources = globSync('**/*.{proto,yaml}', { cwd: proto, exclude: ['gen'] }).toSorted();
const hash = createHash('sha256').update(readFileSync(import.meta.filename));
for (const source of sources) hash.update(source).update(readFileSync(join(proto, source)));
const stamp = hash.digest('hex');
const stampFile = join(proto, 'gen/.stamp');

if (!existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== stamp) {
  const buf = (...args: string[]) =>
    execFileSync(join(bin, 'buf'), args, { cwd: proto, maxBuffer: 64 << 20 });
  buf('generate');
  const image = buf('build', '-o', '-#format=binpb');
  writeFileSync(join(proto, 'gen/descriptors.binpb'), image);
  writeFileSync(join(proto, 'gen/rules.json'), rulesOf(image));
  writeFileSync(stampFile, stamp);
}

/** The access rule of every method by its path; a method without one fails the build. */
function rulesOf(image: Uint8Array): string {
  const files = createFileRegistry(fromBinary(FileDescriptorSetSchema, image));
  const rule = files.getExtension('roost.access.v1.rule');
  if (rule?.message === undefined) throw new Error('roost.access.v1.rule is not there');
  const rules: Record<string, unknown> = {};
  for (const service of files) {
    if (service.kind !== 'service') continue;
    for (const method of service.methods) {
      const path = `/${service.typeName}/${method.name}`;
      if (!hasOption(method, rule)) throw new Error(`${path} has no access rule`);
      const value = getOption(method, rule);
      if (!isMessage(value)) throw new Error(`${path} has a rule that is no message`);
      rules[path] = toJson(rule.message, value, { alwaysEmitImplicit: true });
    }
  }
  return `${JSON.stringify(rules, null, 2)}\n`;
}
