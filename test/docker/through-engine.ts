/** An Engine reached as one of another host is: by TCP, so that no directory of it is trusted to be one of this host. */
import { type AddressInfo, connect, createServer } from 'node:net';
import type { TestContext } from 'node:test';
import type { TestEngine } from '../docker-engine.ts';

/**
 * @param mayPass asked for each archive that is to be unpacked, with its number from 1 on; what may not is never passed on.
 * @returns what to give as `--docker-host`.
 */
export async function asAnotherHost(
  t: Pick<TestContext, 'after'>,
  { socket }: TestEngine,
  mayPass: (archive: number) => boolean = () => true,
): Promise<string> {
  let archives = 0;
  const server = createServer((client) => {
    const engine = connect(socket);
    let held = false;
    client.on('data', (bytes: Buffer) => {
      if (/PUT \/\S*containers\/\S+\/archive/.test(bytes.toString('latin1'))) held ||= !mayPass(++archives);
      if (!held) engine.write(bytes);
    });
    engine.pipe(client);
    client.on('end', () => engine.end());
    client.on('error', () => engine.destroy());
    engine.on('error', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  t.after(() => server.close());
  return `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
