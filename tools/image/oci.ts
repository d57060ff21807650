// An image as one file, without a builder, a daemon or a registry: an OCI layout in an archive.
import { createHash } from 'node:crypto';
import { type Entry, tarOf } from './tar.ts';

export interface Image {
  /** `name:tag`, as a cluster will know it. */
  readonly reference: string;
  readonly files: readonly Entry[];
  readonly user: string;
  readonly entrypoint: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

interface Blob {
  readonly digest: string;
  readonly bytes: Buffer;
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** The archive: `ctr -n k8s.io images import`, `podman load -i` and `crane` take it. */
export function archiveOf(image: Image): { readonly archive: Buffer; readonly digest: string } {
  const layer = blob(tarOf(withFolders(image.files)));
  const config = blob(
    json({
      architecture: ARCHITECTURES[process.arch] ?? process.arch,
      os: 'linux',
      created: '1970-01-01T00:00:00Z',
      config: {
        User: image.user,
        Entrypoint: image.entrypoint,
        Env: Object.entries(image.env).map(([name, value]) => `${name}=${value}`),
        WorkingDir: '/',
        Labels: image.labels,
      },
      rootfs: { type: 'layers', diff_ids: [layer.digest] },
      history: [{ created: '1970-01-01T00:00:00Z', created_by: 'tools/image.ts' }],
    }),
  );
  const manifest = blob(
    json({
      schemaVersion: 2,
      mediaType: `${OCI}.manifest.v1+json`,
      config: descriptor(config, `${OCI}.config.v1+json`),
      layers: [descriptor(layer, `${OCI}.layer.v1.tar`)],
    }),
  );
  const index = json({
    schemaVersion: 2,
    manifests: [
      {
        ...descriptor(manifest, `${OCI}.manifest.v1+json`),
        annotations: {
          'io.containerd.image.name': image.reference,
          'org.opencontainers.image.ref.name': image.reference,
        },
      },
    ],
  });
  const blobs = [layer, config, manifest].map(({ digest, bytes }) =>
    file(`blobs/sha256/${digest.slice('sha256:'.length)}`, bytes),
  );
  const layout = json({ imageLayoutVersion: '1.0.0' });
  const outer = [file('index.json', index), file('oci-layout', layout), ...blobs];
  return { archive: tarOf(withFolders(outer)), digest: manifest.digest };
}

const OCI = 'application/vnd.oci.image';

function file(path: string, bytes: Buffer): Entry {
  return { path, mode: 0o644, bytes };
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function blob(bytes: Buffer): Blob {
  return { digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`, bytes };
}

function descriptor({ digest, bytes }: Blob, mediaType: string) {
  return { mediaType, digest, size: bytes.length };
}

/** Every folder on the way to a file, as archives want them. */
function withFolders(files: readonly Entry[]): Entry[] {
  const given = new Set(files.map(({ path }) => path));
  const folders = new Set(
    files.flatMap(({ path }) =>
      path
        .split('/')
        .slice(0, -1)
        .map((_, index, parts) => parts.slice(0, index + 1).join('/')),
    ),
  );
  const missing = [...folders].filter((path) => !given.has(path));
  return [...missing.map((path) => ({ path, mode: 0o755 })), ...files];
}
