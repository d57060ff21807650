// What the test files of Jest's project `servers` find in their environment: a World is one of separate services,
// a fresh database is on the server that those reach, and logs are kept under the name of the file.
import { basename } from 'node:path';
import { expect, jest } from '@jest/globals';

// Many processes share the machine; waiting costs only tests that fail.
jest.setTimeout(180_000);
process.env['ROOST_E2E'] = 'distributed';
process.env['ROOST_TEST_POSTGRES'] = process.env['ROOST_RUN_POSTGRES'];
process.env['ROOST_TEST_FILE'] = basename(expect.getState().testPath ?? 'unknown', '.ts');
