/**
 * `node delay-proxy.ts TARGET_PORT DELAY_MS`: forwards connections to a port of this host, and says on its standard output where it
 * listens. Every byte arrives half the delay later, in either direction, so that each round trip takes the delay; rates are as they are.
 */
import { connect, createServer, type Socket } from 'node:net';

const [targetPort = 0, delayMs = 0] = process.argv.slice(2).map(Number);
/** What may be on its way in one direction of a connection. */
const windowBytes = 64 * 1024 * 1024;

const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
  const target = connect({ port: targetPort, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  forward(client, target);
  forward(target, client);
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') process.stdout.write(`${address.port}\n`);
});

function forward(from: Socket, to: Socket): void {
  let waitingBytes = 0;
  const later = (act: () => void) => (delayMs === 0 ? act() : setTimeout(act, delayMs / 2));
  from.on('data', (bytes) => {
    waitingBytes += bytes.length;
    if (waitingBytes > windowBytes) from.pause();
    later(() => {
      to.write(bytes, () => {
        waitingBytes -= bytes.length;
        if (waitingBytes <= windowBytes) from.resume();
      });
    });
  });
  from.on('end', () => later(() => to.end()));
  from.on('error', () => to.destroy());
  from.on('close', () => later(() => to.destroySoon()));
}
