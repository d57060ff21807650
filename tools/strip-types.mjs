import { stripTypeScriptTypes } from 'node:module';

/** Jest's transform: Node's own type stripping keeps every position, so no source map is needed. */
export default { process: (source) => ({ code: stripTypeScriptTypes(source) }) };
