/** OpenSSH's server on loopback, for as long as a test lasts: own configuration, own keys; clients get an ssh_config. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
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
  /** How many connections have been let in, as far as the server's log was read. */
  connections: () => number;
  /** Kills the servers of all connections, as a crash of theirs would. */
  cut: () => void;
  /** From now on they answer nothing. */
  freeze: () => void;
};

/** `subsystem` serves instead of `internal-sftp`. */
type ServerOptions = { subsystem?: string };

/**
 * Whether a server can be started here. When not, the file's tests are skipped, as one.
 * @throws when a program is missing in CI.
 */
export function requireSshServer(): boolean {
  const missing = (['sshd', 'ssh', 'ssh-keygen'] as const).filter((name) => peer(name) === undefined);
  if (missing.length > 0) test('storages behind OpenSSH', (t) => void missing.map((name) => requirePeer(t, name)));
  return missing.length === 0;
}

/** Serves the file system to this user alone. Files of keys and configuration are written to `folder`. */
export async function serveSftp(t: Pick<TestContext, 'after'>, folder: string, options: ServerOptions = {}): Promise<SftpServer> {
  const at = (name: string) => join(folder, name);
  for (const name of ['host', 'user']) makeKey(at(name));
  writeFileSync(at('authorized_keys'), readFileSync(at('user.pub')));
  const own = [`HostKey ${at('host')}`, `AuthorizedKeysFile ${at('authorized_keys')}`, 'StrictModes no', 'UsePAM no', 'PidFile none'];
  const offered = ['PasswordAuthentication no', 'KbdInteractiveAuthentication no', 'PermitRootLogin yes'];
  const subsystem = `Subsystem sftp ${options.subsystem ?? 'internal-sftp'}`;
  writeFileSync(at('sshd_config'), `${[...own, ...offered, subsystem].join('\n')}\n`);
  // It insists on it when it runs as root.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });

  const { daemon, port, log } = await startDaemon(at('sshd_config'));
  const signal = (name: NodeJS.Signals) => {
    const children = readFileSync(`/proc/${daemon.pid}/task/${daemon.pid}/children`, 'utf8');
    for (const pid of children.split(' ').filter(Boolean)) signalGroup(Number(pid), name);
  };
  const connections = () => log().match(/^Accepted publickey/gm)?.length ?? 0;
  const cut = () => signal('SIGKILL');
  t.after(() => {
    cut();
    daemon.kill('SIGKILL');
  });
  writeFileSync(at('known_hosts'), `[127.0.0.1]:${port} ${readFileSync(at('host.pub'), 'utf8')}`);
  writeFileSync(at('ssh_config'), clientSettings(folder, port));
  return {
    host: 'holdfast-test',
    args: `-F ${at('ssh_config')}`,
    folder,
    port,
    connections,
    cut,
    freeze: () => signal('SIGSTOP'),
  };
}

/** On a port that is free: another may take it before the server does. */
async function startDaemon(configuration: string): Promise<{ daemon: ChildProcess; port: number; log: () => string }> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const args = ['-D', '-e', '-f', configuration, '-o', `ListenAddress=127.0.0.1:${port}`];
    const daemon = spawn(peer('sshd') as string, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '';
    const listens = await new Promise<boolean>((resolve) => {
      daemon.stderr.setEncoding('utf8').on('data', (text: string) => {
        log += text.replaceAll('\r', '');
        if (log.includes('Server listening on')) resolve(true);
      });
      daemon.stderr.on('end', () => resolve(false));
    });
    if (listens) return { daemon, port, log: () => log };
    if (attempt === 3) throw new Error(`sshd ended: ${log}`);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
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

function signalGroup(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(-pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
