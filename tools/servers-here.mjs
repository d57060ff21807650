// What the test files of Jest's project `servers` find in their environment: a World is one of separate services,
// and a fresh database is on the server that those reach.
process.env['ROOST_E2E'] = 'distributed';
process.env['ROOST_TEST_POSTGRES'] = process.env['ROOST_RUN_POSTGRES'];
