import { CannotStart } from '@roost/core/cannot-start';
import { homeDomain } from '@roost/service/config';
import { z } from 'zod';
import { PEERS } from '../certificates.ts';

const secret = z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/);

const door = z.strictObject({
  secret,
  names: z.array(z.string()).min(1),
  days: z.int().min(1).max(825),
});

/** What the chart wants to be there before anything starts; it names each Secret, so that both agree. */
const schema = z.strictObject({
  domain: homeDomain,
  labels: z.record(z.string(), z.string()),
  /** 32 random bytes in hex, under the purpose's name. */
  keys: z.array(z.strictObject({ secret, purpose: z.string() })),
  /** A password, and whatever else is said of it: `{password}` in a field stands for it. */
  credentials: z.array(z.strictObject({ secret, fields: z.record(z.string(), z.string()) })),
  /** Absent where somebody else makes certificates (cert-manager). */
  internal: z
    .strictObject({
      authority: secret,
      days: z.int().min(1).max(825),
      certificates: z.array(z.strictObject({ secret, peer: z.enum(PEERS) })),
    })
    .optional(),
  /** A certificate for clients, signed by itself: for trying out. */
  door: door.optional(),
  /** The same for other homeservers, which also see it where we call them. */
  federationDoor: door.optional(),
});

export type Plan = z.output<typeof schema>;

export function parsePlan(text: string): Plan {
  const parsed = schema.safeParse(jsonOf(text));
  if (parsed.success) return parsed.data;
  throw new CannotStart(`the plan makes no sense:\n${z.prettifyError(parsed.error)}`);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CannotStart('the plan is no JSON', { cause: error });
  }
}
