/** Entry of the process that copies SQLite databases: requests come, and replies go, a line of JSON each. Its argument is the folder of the copies. */
import { createInterface } from 'node:readline';
import { type CopyRequest, copyDatabase } from '../control/recipes/sqlite-copy.ts';
import { confineWrites } from '../engine/source/posix-confine.ts';
import { rawFromText } from '../model/raw-bytes.ts';

process.umask(0o077);
// A database is somebody else's bytes. Where the kernel cannot do that, it is copied all the same.
confineWrites(rawFromText(process.argv[2] as string));
for await (const line of createInterface(process.stdin)) {
  const reply = await copyDatabase(JSON.parse(line) as CopyRequest);
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
