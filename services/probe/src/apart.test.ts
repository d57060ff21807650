import { createServer } from 'node:net';
import { expect, test } from '@jest/globals';
import { stayApart } from './apart.ts';

const patience = { attemptMs: 200, settleMs: 0 };

test('who can be reached is named', async () => {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  await expect(stayApart([`127.0.0.1:${port}`], patience)).rejects.toThrow(
    `127.0.0.1:${port} can be reached`,
  );
  server.close();
});

test('who refuses is apart', async () => {
  await stayApart(['127.0.0.1:1'], patience);
});

test('a policy may take a moment to hold', async () => {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  setTimeout(() => server.close(), 200);
  await stayApart([`127.0.0.1:${port}`], { attemptMs: 200, settleMs: 10_000 });
});

test('a name that nobody knows is no wall', async () => {
  await expect(stayApart(['nobody.invalid:7443'], patience)).rejects.toThrow('nobody knows');
});
