/** OpenSSH's server on loopback, for as long as a test lasts: own configuration, own keys; clients get an ssh_config. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { peer, requirePeer } from './peers.ts';

export type SftpServer = {
  /** The host's name in the ssh_config. */
  host: string;
  /** For the option `args`, and restic's `sftp.args`. */
  args: string;
  /** A folder of configuration and keys: `ssh_config`, `known_hosts`, `user`, `authorized_keys`. */
  folder: string;
  /** Where it listens, on 127.0.0.1. */
  port: number;
  /** How many connections there have been. */
  connections: () => number;
  /** Kills the servers of all connections, as a crash of theirs would. */
  cut: () => void;
};

/**
 * Whether a server can be started here. When not, the file's tests are skipped, as one.
 * @throws when a program is missing in CI.
 */
export function requireSshServer(): boolean {
  const missing = (['sshd', 'ssh', 'ssh-keygen'] as const).filter((name) => peer(name) === undefined);
  if (missing.length > 0) test('storages behind OpenSSH', (t) => void missing.map((name) => requirePeer(t, name)));
  return missing.length === 0;
}

/**
 * Serves the file system to this user alone. Files of keys and configuration are written to `folder`.
 * @param settings further lines of the sshd_config, which go before those that are there.
 */
export async function serveSftp(t: TestContext, folder: string, settings: readonly string[] = []): Promise<SftpServer> {
  const at = (name: string) => join(folder, name);
  for (const name of ['host', 'user']) makeKey(at(name));
  writeFileSync(at('authorized_keys'), readFileSync(at('user.pub')));
  const own = [`HostKey ${at('host')}`, `AuthorizedKeysFile ${at('authorized_keys')}`, 'StrictModes no', 'UsePAM no', 'PidFile none'];
  const offered = ['PasswordAuthentication no', 'KbdInteractiveAuthentication no', 'PermitRootLogin yes', 'Subsystem sftp internal-sftp'];
  writeFileSync(at('sshd_config'), `${[...settings, ...own, ...offered].join('\n')}\n`);
  // It insists on it when it runs as root.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });

  const running = new Set<ChildProcess>();
  let connections = 0;
  const server = createServer({ pauseOnConnect: true }, (socket: Socket) => {
    connections++;
    const child = spawn(peer('sshd') as string, ['-i', '-f', at('sshd_config'), '-E', at('log')], {
      stdio: [socket, socket, 'ignore'],
      detached: true,
    });
    running.add(child);
    child.once('exit', () => running.delete(child));
    socket.destroy();
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    for (const { pid } of running) if (pid !== undefined) killGroup(pid);
  };
  t.after(() => {
    server.close();
    cut();
  });
  const { port } = server.address() as AddressInfo;
  writeFileSync(at('known_hosts'), `[127.0.0.1]:${port} ${readFileSync(at('host.pub'), 'utf8')}`);
  writeFileSync(at('ssh_config'), clientSettings(folder, port));
  return { host: 'holdfast-test', args: `-F "${at('ssh_config')}"`, folder, port, connections: () => connections, cut };
}

export const makeKey = (path: string): void =>
  void execFileSync(peer('ssh-keygen') as string, ['-q', '-t', 'ed25519', '-N', '', '-f', path], { stdio: ['ignore', 'ignore', 'pipe'] });

const clientSettings = (folder: string, port: number): string => `Host holdfast-test
  HostName 127.0.0.1
  Port ${port}
  User ${userInfo().username}
  IdentityFile ${join(folder, 'user')}
  IdentitiesOnly yes
  IdentityAgent none
  StrictHostKeyChecking yes
  UserKnownHostsFile ${join(folder, 'known_hosts')}
  GlobalKnownHostsFile /dev/null
`;

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
