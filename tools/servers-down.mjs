// The globalTeardown of Jest's project `servers`: stops what servers-up.mjs and the tests have started.
export default async function down() {
  await globalThis.roostTestRun?.[Symbol.asyncDispose]();
}
