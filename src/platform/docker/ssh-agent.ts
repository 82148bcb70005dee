/**
 * An Engine on another host, through the system's `ssh`: known hosts, keys, jump hosts and so on are the user's. (docker-modem's own ssh accepts
 * whatever host answers.)
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent } from 'node:http';
import { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

export type SshAgent = {
  agent: Agent;
  /** What ssh said last, for errors; `` when it said nothing. Waits a moment for one that is about to end. */
  lastWords(): Promise<string>;
  /** Ends all connections. */
  close(): void;
};

const mostWords = 2000;
const mostConnections = 4;
const mostPatienceMs = 1000;

/** Every connection is an `ssh DESTINATION docker system dial-stdio`, as the `docker` program itself does it. */
export function createSshAgent({ destination, port }: { destination: string; port: number | undefined }): SshAgent {
  const children = new Set<ChildProcess>();
  let words = '';

  function connect(): Duplex {
    const args = ['-o', 'BatchMode=yes', '-o', 'ConnectTimeout=30', '-o', 'ServerAliveInterval=15', '-o', 'ServerAliveCountMax=4', '-T'];
    if (port !== undefined) args.push('-p', String(port));
    const child = spawn('ssh', [...args, '--', destination, 'docker', 'system', 'dial-stdio'], { stdio: ['pipe', 'pipe', 'pipe'] });
    children.add(child);
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      words = (words + text).slice(-mostWords);
    });
    const duplex = Duplex.from({ readable: child.stdout, writable: child.stdin } as unknown as Iterable<never>);
    child.once('error', (error: NodeJS.ErrnoException) => {
      words = error.code === 'ENOENT' ? `the program ssh is not installed` : error.message;
      duplex.destroy(error);
    });
    child.once('close', () => {
      children.delete(child);
      duplex.destroy();
    });
    duplex.once('close', () => child.kill());
    return duplex;
  }

  const agent = new Agent({ keepAlive: true, maxSockets: mostConnections });
  agent.createConnection = () => asSocket(connect());
  return {
    agent,
    async lastWords() {
      // The connection breaks before ssh has said why.
      const ends = [...children].map((child) => once(child, 'close').catch(() => undefined));
      await Promise.race([Promise.all(ends), sleep(mostPatienceMs, undefined, { ref: false })]);
      return words.trim();
    },
    close() {
      agent.destroy();
      for (const child of children) child.kill();
    },
  };
}

/** What Node's HTTP client asks of a connection beside being a stream; ssh sees to all of it. */
function asSocket(duplex: Duplex): Duplex {
  const none = () => duplex;
  return Object.assign(duplex, { setTimeout: none, setNoDelay: none, setKeepAlive: none, ref: none, unref: none });
}
