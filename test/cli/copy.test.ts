import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../src/cli/system-clock.ts';
import { exitCodes } from '../../src/model/errors.ts';
import { lockRepository } from '../../src/repository/locks.ts';
import { commandLine } from '../command-line.ts';
import { scratch } from '../peers.ts';
import { scratchPassword, scratchRepository } from '../scratch-repository.ts';

test('--no-lock copies from a source that cannot be locked; the destination is locked all the same', async (t) => {
  const folder = scratch(t);
  writeFileSync(join(folder, 'key'), scratchPassword);
  const [source, destination] = [await scratchRepository(t), await scratchRepository(t)];
  const from = ['--from', source.folder, '--from-password-file', 'key'];
  const copy = (...options: string[]) =>
    commandLine(folder)('copy', '-r', destination.folder, '-p', 'key', ...from, '--lanes', '1', ...options);
  const held = await lockRepository(source, { exclusive: true, clock: systemClock });
  assert.equal((await copy()).exit, exitCodes.locked);
  assert.equal((await copy('--no-lock')).exit, exitCodes.done);
  assert.equal((await copy('--dry-run')).exit, exitCodes.done);
  const heldToo = await lockRepository(destination, { exclusive: true, clock: systemClock });
  assert.equal((await copy('--no-lock')).exit, exitCodes.locked);
  await heldToo.release();
  await held.release();
  assert.deepEqual(readdirSync(join(source.folder, 'locks')), []);
});
