import type { Resource } from './render.ts';

interface Peer {
  readonly podSelector?: { readonly matchLabels?: Readonly<Record<string, string>> };
  readonly namespaceSelector?: object;
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
}

interface Policy {
  readonly podSelector: { readonly matchLabels?: Readonly<Record<string, string>> };
  readonly policyTypes: readonly string[];
  readonly ingress?: readonly Rule[];
  readonly egress?: readonly Rule[];
}

interface Rule {
  readonly ports?: readonly { readonly port: number | string }[];
  readonly from?: readonly Peer[];
  readonly to?: readonly Peer[];
}

const ROLE = 'roost-network';

/** Services that must not reach each other: together they would know who writes to whom. */
const APART = [
  ['as', 'qs'],
  ['as', 'ds'],
] as const;

/** Who may leave the cluster, and at which ports. */
const ABROAD: Readonly<Record<string, readonly number[] | 'any'>> = {
  qs: [443],
  'federation-gateway': 'any',
};

/** What the policies let through that they must not. */
export function policyOffences(resources: readonly Resource[]): string[] {
  const policies = resources
    .filter(({ kind }) => kind === 'NetworkPolicy')
    .map((each) => each['spec'] as Policy);
  const of = (role: string): Policy[] =>
    policies.filter(({ podSelector }) => podSelector.matchLabels?.[ROLE] === role);
  const denied = policies.some(
    (each) =>
      each.podSelector.matchLabels?.[ROLE] === undefined &&
      each.policyTypes.length === 2 &&
      each.ingress === undefined &&
      each.egress === undefined,
  );
  const said = denied ? [] : ['nothing denies what is not allowed'];
  for (const pair of APART) {
    for (const [a, b] of [pair, pair.toReversed() as [string, string]]) {
      if (of(a).length === 0) said.push(`there is no policy for ${a}`);
      if (of(a).some(({ ingress = [] }) => isOpenTo(ingress, 'from', b, ['grpc', 7443]))) {
        said.push(`${a} lets ${b} in`);
      }
      if (of(a).some(({ egress = [] }) => isOpenTo(egress, 'to', b, ['grpc', 7443]))) {
        said.push(`${a} may go to ${b}`);
      }
    }
  }
  for (const { podSelector, egress = [] } of policies) {
    const role = podSelector.matchLabels?.[ROLE];
    if (role !== undefined) said.push(...egress.flatMap((rule) => abroad(role, rule)));
  }
  // Whoever takes it over has nothing but what other homeservers have anyway.
  for (const service of ['as', 'aas', 'qs', 'ds']) {
    if (of('federation-edge').some(({ egress = [] }) => isOpenTo(egress, 'to', service, [7443]))) {
      said.push(`federation-edge may go to ${service}`);
    }
  }
  return said;
}

/** A rule by which somebody reaches what is not in the cluster, and has no business there. */
function abroad(role: string, { to = [], ports }: Rule): string[] {
  const open = to.filter(({ ipBlock }) => ipBlock?.cidr === '0.0.0.0/0');
  if (open.length === 0) return [];
  const may = ABROAD[role];
  if (may === undefined) return [`${role} may leave the cluster`];
  const isBounded =
    may === 'any' || (ports ?? [{ port: 0 }]).every(({ port }) => may.includes(Number(port)));
  const isPublic = open.every(({ ipBlock }) => ipBlock?.except?.includes('10.0.0.0/8') === true);
  return [
    ...(isBounded ? [] : [`${role} may leave the cluster at any port`]),
    ...(isPublic || role === 'qs' ? [] : [`${role} may go to private addresses`]),
  ];
}

function isOpenTo(
  rules: readonly Rule[],
  side: 'from' | 'to',
  role: string,
  ports: readonly (number | string)[],
): boolean {
  return rules.some((rule) => {
    const isPort = rule.ports === undefined || rule.ports.some(({ port }) => ports.includes(port));
    const peers = rule[side];
    const isPeer =
      peers === undefined ||
      peers.some(
        ({ podSelector, namespaceSelector }) =>
          namespaceSelector !== undefined ||
          (podSelector !== undefined &&
            [undefined, role].includes(podSelector.matchLabels?.[ROLE])),
      );
    return isPort && isPeer;
  });
}
