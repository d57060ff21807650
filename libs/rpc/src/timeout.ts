const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
};

/** `grpc-timeout`: up to eight digits and a unit; anything else is no timeout. */
export function timeoutMs(header: string | readonly string[] | undefined): number | undefined {
  const match = typeof header === 'string' ? /^([0-9]{1,8})([HMSmun])$/.exec(header) : null;
  const unit = UNIT_MS[match?.[2] ?? ''];
  if (match === null || unit === undefined) return undefined;
  return Math.min(Number(match[1]) * unit, 2 ** 31 - 1);
}
