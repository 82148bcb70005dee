import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createSftpStorage } from '../../src/storage/sftp.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { scratch } from '../peers.ts';
import { requireSshServer, type SftpServer, serveSftp } from '../sftp-server.ts';
import { runStorageContract } from './storage.ts';

function opened(t: TestContext, { host, args }: SftpServer, path: string, options: Record<string, string> = {}): Storage {
  const storage = createSftpStorage({ url: `sftp:${host}:${path}`, options: { args, ...options } });
  t.after(() => storage.close?.());
  return storage;
}

if (requireSshServer()) {
  runStorageContract('OpenSSH', async (t) => opened(t, await serveSftp(t, scratch(t)), join(scratch(t), 'below', 'repository')));
}
