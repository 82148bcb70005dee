import { once } from 'node:events';
import { createServer } from 'node:net';
import { defaults } from '../control/configuration/defaults.ts';

/** So many projects of a host find a port of their own. */
const mostPorts = 100;

/**
 * Where the API of one more project of this host can listen: undefined when the default is free, else the next port on loopback that nobody
 * listens at, as `HOST:PORT`. Without any, undefined too: the daemon will say what is wrong.
 * @param preferred for tests.
 */
export async function freeListen(preferred: string = defaults.daemon.listen): Promise<string | undefined> {
  const [host, port] = [preferred.slice(0, preferred.lastIndexOf(':')), Number(preferred.slice(preferred.lastIndexOf(':') + 1))];
  for (let more = 0; more < mostPorts && port + more < 65_536; more++) {
    if (await isFree(host, port + more)) return more === 0 ? undefined : `${host}:${port + more}`;
  }
  return undefined;
}

async function isFree(host: string, port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen({ host, port });
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
    return true;
  } catch {
    return false;
  }
}
