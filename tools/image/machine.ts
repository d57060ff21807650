// A root file system of programs that this machine has, where no base image can be had (Linux only).
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Entry } from './tar.ts';

/** Who runs in our images: the `nonroot` of the usual small base images. */
export const NONROOT = 65_532;

/** A program at a path in the image, with every library that it is linked with at the library's own path. */
export function programOf(from: string, to: string): Entry[] {
  const bytes = readFileSync(from);
  return [{ path: relative(to), mode: 0o755, bytes }, ...librariesOf(from)];
}

/** A folder and all in it, links as links; libraries that its programs need come along. */
export function folderOf(from: string, to: string): Entry[] {
  return readdirSync(from, { recursive: true, withFileTypes: true }).flatMap((each): Entry[] => {
    const source = join(each.parentPath, each.name);
    const path = relative(join(to, source.slice(from.length)));
    if (each.isSymbolicLink()) return [{ path, mode: 0o777, link: readlinkSync(source) }];
    if (each.isDirectory()) return [{ path, mode: 0o755 }];
    const isProgram = (statSync(source).mode & 0o111) !== 0;
    const file = { path, mode: isProgram ? 0o755 : 0o644, bytes: readFileSync(source) };
    if (!isProgram) return [file];
    // Libraries of the folder's own are in it.
    const own = relative(from);
    return [file, ...librariesOf(source).filter((library) => !library.path.startsWith(own))];
  });
}

/** Names, certificates of authorities, who there is: what programs look for besides themselves. */
export function surroundings(user = 'nonroot', id = NONROOT): Entry[] {
  const certificates = '/etc/ssl/certs/ca-certificates.crt';
  return [
    text('etc/passwd', `root:x:0:0::/:/none\n${user}:x:${id}:${id}::/:/none\n`),
    text('etc/group', `root:x:0:\n${user}:x:${id}:\n`),
    text('etc/nsswitch.conf', 'hosts: files dns\n'),
    ...(existsSync(certificates) ? [text(certificates, readFileSync(certificates, 'utf8'))] : []),
    { path: 'tmp', mode: 0o1777 },
    // glibc loads these when it is asked for a name, so no program names them.
    ...['libnss_dns.so.2', 'libnss_files.so.2', 'libresolv.so.2'].flatMap(systemLibrary),
  ];
}

/** Each path once: what comes later is the same file. */
export function once(entries: readonly Entry[]): Entry[] {
  return [...new Map(entries.map((entry) => [entry.path, entry])).values()];
}

function librariesOf(program: string): Entry[] {
  return [...linkedWith(program).matchAll(/(\/[^\s()]+) \(0x/g)].map(([, path = '']) =>
    libraryAt(path),
  );
}

/** A program that is linked with nothing, or a script, makes `ldd` fail: it needs nothing. */
function linkedWith(program: string): string {
  try {
    return execFileSync('ldd', [program], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch {
    return '';
  }
}

function systemLibrary(name: string): Entry[] {
  const folder = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  const path = ['/lib', '/usr/lib'].map((each) => join(each, folder, name)).find(existsSync);
  return path === undefined ? [] : [libraryAt(path)];
}

function libraryAt(path: string): Entry {
  return { path: relative(path), mode: 0o755, bytes: readFileSync(path) };
}

function text(path: string, content: string): Entry {
  return { path: relative(path), mode: 0o644, bytes: Buffer.from(content) };
}

function relative(path: string): string {
  return path.replace(/^\/+/, '');
}
