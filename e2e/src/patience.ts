/**
 * How long a test waits for what has to come: longer where many processes share the machine, as waiting costs only
 * tests that fail.
 */
export const PATIENCE_MS = process.env['ROOST_E2E'] === 'distributed' ? 120_000 : 60_000;
