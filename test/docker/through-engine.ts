/** An Engine reached as one of another host is: by TCP, so that no directory of it is trusted to be one of this host. */
import { type AddressInfo, connect, createServer } from 'node:net';
import type { TestContext } from 'node:test';
import type { TestEngine } from '../docker-engine.ts';

/** @returns what to give as `--docker-host`. */
export async function asAnotherHost(t: Pick<TestContext, 'after'>, { socket }: TestEngine): Promise<string> {
  const server = createServer((client) => {
    const engine = connect(socket);
    client.pipe(engine).pipe(client);
    client.on('error', () => engine.destroy());
    engine.on('error', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  t.after(() => server.close());
  return `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
