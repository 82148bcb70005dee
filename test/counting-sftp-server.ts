/**
 * `node counting-sftp-server.ts PROGRAM DELAY_MS LOG`: an SFTP server at the end of a long line. PROGRAM serves; its answers arrive DELAY_MS
 * later. Each request becomes a line `ROUND TYPE PATH` of the file LOG: the round is one more than the highest of all answers that had
 * arrived when it was made, so that the highest round is the length of the longest chain of requests that waited for each other.
 */
import { spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { PacketReader, requestTypes } from '../src/storage/sftp-protocol.ts';

const [program = '', delay = '', log = ''] = process.argv.slice(2);
const server = spawn(program, [], { stdio: ['pipe', 'pipe', 'inherit'] });
const typeNames = new Map<number, string>(Object.entries(requestTypes).map(([name, type]) => [type, name]));

/** Rounds of requests that are not answered yet, by their numbers. */
const rounds = new Map<number, number>();
let arrived = 0;

function count(packet: Buffer): void {
  const type = packet[0] as number;
  if (type === requestTypes.init) return;
  const round = arrived + 1;
  // Nobody waits for it but who waits for what goes before it.
  if (type !== requestTypes.close) rounds.set(packet.readUInt32BE(1), round);
  const length = packet.readUInt32BE(5);
  const words = packet
    .subarray(9, 9 + length)
    .toString('latin1')
    .replace(/[^ -~]/g, '?');
  const folder = packet
    .subarray(9 + length)
    .toString('latin1')
    .replace(/[^ -~]/g, '?')
    .slice(0, 200);
  appendFileSync(log, `${round} ${typeNames.get(type)} ${words} ${type === requestTypes.extended ? folder : ''}\n`);
}

const requests = new PacketReader();
process.stdin.on('data', (chunk: Buffer) => {
  for (const packet of requests.push(chunk)) count(packet);
  server.stdin.write(chunk);
});
process.stdin.on('end', () => server.stdin.end());

const replies = new PacketReader();
server.stdout.on('data', (chunk: Buffer) => {
  for (const packet of replies.push(chunk)) setTimeout(deliver, Number(delay), Buffer.from(packet));
});
server.on('exit', (code) => setTimeout(() => process.exit(code ?? 1), Number(delay)));

function deliver(packet: Buffer): void {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(packet.length);
  const id = packet.length >= 5 ? packet.readUInt32BE(1) : 0;
  arrived = Math.max(arrived, rounds.get(id) ?? 0);
  rounds.delete(id);
  process.stdout.write(Buffer.concat([length, packet]));
}
