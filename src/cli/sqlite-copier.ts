/** Entry of the process that copies SQLite databases: requests come, and replies go, a line of JSON each. */
import { createInterface } from 'node:readline';
import { type CopyRequest, copyDatabase } from '../control/recipes/sqlite-copy.ts';

process.umask(0o077);
for await (const line of createInterface(process.stdin)) {
  const reply = await copyDatabase(JSON.parse(line) as CopyRequest);
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
