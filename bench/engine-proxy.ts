import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';

export type EngineProxy = {
  /** For DOCKER_HOST. */
  address: string;
  /** How many requests came since the last time that this was asked. */
  count(): number;
  close(): Promise<void>;
};

/**
 * A Docker Engine behind a TCP port on loopback: Holdfast cannot know that its volumes are on this host, and reads them through the Engine.
 * @param mayCreate false for an Engine that refuses to make containers, as proxies of sockets do.
 */
export async function openEngineProxy(socketPath: string, { mayCreate }: { mayCreate: boolean }): Promise<EngineProxy> {
  let requests = 0;
  const server = createServer((incoming, answer) => {
    requests += 1;
    if (!mayCreate && incoming.method === 'POST') {
      answer.writeHead(403, { 'content-type': 'application/json' }).end('{"message":"refused by the benchmark"}');
      return;
    }
    const { method, url: path, headers } = incoming;
    const outgoing = request({ socketPath, method, path, headers }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    outgoing.once('error', () => answer.destroy());
    answer.once('close', () => outgoing.destroy());
    incoming.pipe(outgoing);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    address: `tcp://127.0.0.1:${port}`,
    count() {
      const counted = requests;
      requests = 0;
      return counted;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
