/** A connected pair of sockets, one of which a child process gets as standard input and output: Node has no call for that. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** @throws the system's error when there can be no socket in the folder for temporary files. */
export async function socketPair(): Promise<[ours: Socket, theirs: Socket]> {
  // Only this user can enter the folder: nobody else connects.
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-'));
  const server = createServer();
  try {
    server.listen(join(folder, 'socket'));
    await once(server, 'listening');
    const theirs = connect(join(folder, 'socket'));
    const [[ours]] = await Promise.all([once(server, 'connection'), once(theirs, 'connect')]);
    return [ours, theirs];
  } finally {
    server.close();
    await rm(folder, { recursive: true, force: true });
  }
}
