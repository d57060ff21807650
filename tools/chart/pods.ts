import type { Resource } from './render.ts';

interface Container {
  readonly name: string;
  readonly securityContext?: {
    readonly allowPrivilegeEscalation?: boolean;
    readonly privileged?: boolean;
    readonly readOnlyRootFilesystem?: boolean;
    readonly capabilities?: { readonly drop?: readonly string[]; readonly add?: readonly string[] };
  };
  readonly resources?: {
    readonly requests?: object;
    readonly limits?: { readonly memory?: string };
  };
}

interface PodSpec {
  readonly hostNetwork?: boolean;
  readonly hostPID?: boolean;
  readonly hostIPC?: boolean;
  readonly automountServiceAccountToken?: boolean;
  readonly securityContext?: {
    readonly runAsNonRoot?: boolean;
    readonly runAsUser?: number;
    readonly seccompProfile?: { readonly type?: string };
  };
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes?: readonly Readonly<Record<string, unknown>>[];
}

interface Template {
  readonly metadata?: { readonly labels?: Readonly<Record<string, string>> };
  readonly spec: PodSpec;
}

interface Holder {
  readonly template?: Template;
  readonly jobTemplate?: { readonly spec: { readonly template: Template } };
}

/** The pods that a resource makes. */
export function podOf(resource: Resource): Template | undefined {
  if (resource.kind === 'Pod')
    return { metadata: resource.metadata, spec: resource['spec'] as PodSpec };
  const spec = resource['spec'] as Holder | undefined;
  return spec?.template ?? spec?.jobTemplate?.spec.template;
}

/** What the restricted Pod Security Standard allows (kubernetes.io, as of 1.32). */
const VOLUMES = [
  ...['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral'],
  ...['persistentVolumeClaim', 'projected', 'secret'],
];

/** What the restricted standard, and ours (a root that is not written to, limits of memory), has against a pod. */
export function offences(resource: Resource): string[] {
  const pod = podOf(resource);
  if (pod === undefined) return [];
  const { spec } = pod;
  const said: string[] = [];
  const demand = (holds: boolean, what: string): void => {
    if (!holds) said.push(`${resource.kind} ${resource.metadata.name}: ${what}`);
  };
  demand(!spec.hostNetwork && !spec.hostPID && !spec.hostIPC, 'nothing of the host');
  demand(spec.securityContext?.runAsNonRoot === true, 'runAsNonRoot');
  demand((spec.securityContext?.runAsUser ?? 0) > 0, 'runAsUser');
  demand(spec.securityContext?.seccompProfile?.type === 'RuntimeDefault', 'seccompProfile');
  const speaksToKubernetes = /-(provision|renew)$/.test(resource.metadata.name);
  demand(
    (spec.automountServiceAccountToken ?? true) === speaksToKubernetes,
    'token of the account',
  );
  for (const volume of spec.volumes ?? []) {
    const kinds = Object.keys(volume).filter((key) => key !== 'name');
    demand(
      kinds.every((kind) => VOLUMES.includes(kind)),
      `volume of ${kinds.join(', ')}`,
    );
  }
  for (const { name, securityContext, resources } of [
    ...(spec.initContainers ?? []),
    ...spec.containers,
  ]) {
    demand(
      securityContext?.allowPrivilegeEscalation === false,
      `${name}: allowPrivilegeEscalation`,
    );
    demand(securityContext?.privileged !== true, `${name}: privileged`);
    demand(securityContext?.readOnlyRootFilesystem === true, `${name}: readOnlyRootFilesystem`);
    demand(securityContext?.capabilities?.drop?.includes('ALL') === true, `${name}: drop ALL`);
    demand((securityContext?.capabilities?.add ?? []).length === 0, `${name}: adds capabilities`);
    demand(resources?.requests !== undefined, `${name}: requests`);
    demand(resources?.limits?.memory !== undefined, `${name}: limits.memory`);
  }
  return said;
}
