import type { FederationAdminServiceDefinition } from '@roost/proto/roost/federation/v1/admin';
import type { Handlers } from '@roost/rpc/service';
import { auditHandlers } from './admin/audit.ts';
import { keyHandlers, type KeysAdminPorts } from './admin/keys.ts';
import { peerHandlers, type PeersAdminPorts } from './admin/peers.ts';
import { policyHandlers, type PolicyAdminPorts } from './admin/policy.ts';
import { probeHandlers, type ProbePorts } from './admin/probe.ts';

type AdminHandlers = Handlers<typeof FederationAdminServiceDefinition>;
type OutboxHandlers = Pick<AdminHandlers, 'listOutbox' | 'listDeadLetters' | 'retryPeer'>;

export interface AdminPorts extends PolicyAdminPorts, PeersAdminPorts, KeysAdminPorts, ProbePorts {
  readonly outbox: PolicyAdminPorts['outbox'] & { readonly admin: OutboxHandlers };
  readonly keys: KeysAdminPorts['keys'];
  readonly peers: PeersAdminPorts['peers'] & ProbePorts['peers'];
}

/** What the operator asks for. */
export function adminHandlers(ports: AdminPorts): AdminHandlers {
  return {
    ...policyHandlers(ports),
    ...peerHandlers(ports),
    ...probeHandlers(ports),
    ...keyHandlers(ports),
    ...auditHandlers(ports),
    ...ports.outbox.admin,
  };
}
