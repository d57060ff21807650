import { createFileRegistry, type DescFile, fromBinary, toBinary } from '@bufbuild/protobuf';
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { Failure } from '@roost/core/failure';

import { CODES } from './status.ts';

/**
 * gRPC server reflection, for tools such as grpcurl during development. Written by hand like the
 * health service: it is not ours, so it has no access rule. It tells nothing that proto/ does not.
 */
export const REFLECTION_PATHS: ReadonlySet<string> = new Set([
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
  '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo',
]);

/** Answers one ServerReflectionRequest with a ServerReflectionResponse. */
export type Reflection = (request: Uint8Array) => Uint8Array;

/** Field numbers of request and response; the same in v1 and v1alpha. */
const ASK = { fileByName: 3, fileOfSymbol: 4, listServices: 7 } as const;
const TELL = { originalRequest: 2, files: 4, services: 6, error: 7 } as const;

/** Of a FileDescriptorSet, and the services that are really served. */
export function reflectionOf(descriptors: Uint8Array, services: readonly string[]): Reflection {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors));
  const find = (field: number, text: string): DescFile | undefined => {
    if (field === ASK.fileByName) return registry.getFile(text);
    // A method or field is asked for by the name of what it is in, and its own.
    const found = registry.get(text) ?? registry.get(text.replace(/\.[^.]*$/, ''));
    return found?.file;
  };
  return (request) => {
    const { field, text } = readAsked(request);
    const answer = new BinaryWriter().uint32(tag(TELL.originalRequest)).bytes(request);
    if (field === ASK.listServices) {
      answer.uint32(tag(TELL.services)).fork();
      for (const name of services) answer.uint32(tag(1)).fork().uint32(tag(1)).string(name).join();
      return answer.join().finish();
    }
    const file = find(field, text);
    if (file === undefined) {
      answer
        .uint32(tag(TELL.error))
        .fork()
        .uint32(1 << 3)
        .int32(CODES.NOT_FOUND);
      return answer.uint32(tag(2)).string('there is no such symbol or file').join().finish();
    }
    answer.uint32(tag(TELL.files)).fork();
    for (const { proto } of withDependencies(file)) {
      answer.uint32(tag(1)).bytes(toBinary(FileDescriptorProtoSchema, proto));
    }
    return answer.join().finish();
  };
}

function readAsked(request: Uint8Array): { field: number; text: string } {
  try {
    const reader = new BinaryReader(request);
    let asked = { field: 0, text: '' };
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      if (field === ASK.fileByName || field === ASK.fileOfSymbol || field === ASK.listServices) {
        asked = { field, text: reader.string() };
      } else reader.skip(wireType);
    }
    return asked;
  } catch (error) {
    throw new Failure('MALFORMED', 'this is no ServerReflectionRequest', {}, error);
  }
}

function withDependencies(file: DescFile, seen = new Set<DescFile>()): ReadonlySet<DescFile> {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const each of file.dependencies) withDependencies(each, seen);
  return seen;
}

function tag(field: number): number {
  return (field << 3) | 2;
}
