// Archives that are the same, byte for byte, wherever the same files are packed (POSIX ustar).

/** A file, or a folder where there are no bytes. */
export interface Entry {
  /** Without a slash at its beginning. */
  readonly path: string;
  readonly mode: number;
  readonly bytes?: Uint8Array | undefined;
  /** A symbolic link to this, instead. */
  readonly link?: string | undefined;
}

const BLOCK = 512;

/** All entries in the order of their paths, of nobody and of no time. */
export function tarOf(entries: readonly Entry[]): Buffer {
  const sorted = entries.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const blocks = sorted.flatMap((entry) => {
    const bytes = entry.bytes ?? Buffer.alloc(0);
    return [headerOf(entry), bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]);
}

function headerOf({ path, mode, bytes, link }: Entry): Buffer {
  const header = Buffer.alloc(BLOCK);
  const { prefix, name } = split(path);
  header.write(name, 0, 100);
  header.write(octal(mode, 7), 100);
  header.write(octal(0, 7), 108); // user
  header.write(octal(0, 7), 116); // group
  header.write(octal(bytes?.length ?? 0, 11), 124);
  header.write(octal(0, 11), 136); // time
  header.write('        ', 148);
  header.write(typeOf(bytes, link), 156);
  if (link !== undefined) header.write(link, 157, 100);
  header.write('ustar\u000000', 257);
  header.write(prefix, 345, 155);
  const sum = header.reduce((all, byte) => all + byte, 0);
  header.write(`${octal(sum, 6)}\u0000 `, 148);
  return header;
}

function typeOf(bytes: Uint8Array | undefined, link: string | undefined): string {
  if (link !== undefined) return '2';
  return bytes === undefined ? '5' : '0';
}

/** A path of more than 100 bytes is kept in two parts, which meet at a slash. */
function split(path: string): { prefix: string; name: string } {
  if (Buffer.byteLength(path) <= 100) return { prefix: '', name: path };
  const at = path.indexOf('/', path.length - 101);
  const [prefix, name] = [path.slice(0, at), path.slice(at + 1)];
  if (at < 0 || prefix.length > 155) throw new Error(`${path} is too long for an archive`);
  return { prefix, name };
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0');
}
