/**
 * The code of a system error (`ENOENT`, `EACCES`). Not by `instanceof`: errors of the platform come
 * from another realm than ours under Jest.
 */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
