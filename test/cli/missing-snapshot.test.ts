/** One rule for all commands: what names no snapshot, or several, ends with exit code 1 and the error that says so. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { encodeSnapshot } from '../../src/format/snapshot-file.ts';
import { exitCodes } from '../../src/model/errors.ts';
import { type Repository, sealJsonFile } from '../../src/repository/repository.ts';
import { commandLine } from '../command-line.ts';
import { scratch } from '../peers.ts';
import { scratchPassword, scratchRepository } from '../scratch-repository.ts';
import { aSnapshot } from '../snapshot-histories.ts';

/** Every command that takes a word for a snapshot. */
const naming = (word: string, other: string): string[][] => [
  ['ls', word],
  ['dump', word],
  ['stats', word],
  ['diff', word, 'latest'],
  ['find', '--snapshot', word, 'file'],
  ['restore', '--at', word, '--to', 'restored'],
  ['export', '--at', word, '--output', 'archive'],
  ['forget', word],
  ['tag', '--add', 'x', word],
  ['copy', '--from', other, '--from-password-file', 'key', '--lanes', '1', word],
  ['repair', 'snapshots', word],
];

/** Saves snapshots of which two begin alike. @returns that beginning. */
async function saveTwins(repository: Repository): Promise<string> {
  const made = new Map<string, { name: string; sealed: Buffer }>();
  for (;;) {
    const file = sealJsonFile(repository, encodeSnapshot(aSnapshot()));
    const beginning = file.name.slice(0, 4);
    const twin = made.get(beginning);
    made.set(beginning, file);
    if (twin === undefined) continue;
    for (const { name, sealed } of [file, twin]) await repository.storage.write({ kind: 'snapshots', name }, [sealed]);
    return beginning;
  }
}

test('what names no snapshot, or several, is the same error in every command', async (t) => {
  const folder = scratch(t);
  writeFileSync(join(folder, 'key'), scratchPassword);
  const [repository, empty] = [await scratchRepository(t), await scratchRepository(t)];
  const several = await saveTwins(repository);
  const words = {
    deadbeef: 'snapshot-missing',
    'no such thing': 'snapshot-missing',
    abc: 'snapshot-missing',
    [several]: 'snapshot-ambiguous',
  };
  for (const [word, code] of Object.entries(words)) {
    for (const command of naming(word, repository.folder)) {
      const url = command[0] === 'copy' ? empty.folder : repository.folder;
      const { exit, stderr } = await commandLine(folder)('--json', '-r', url, '-p', 'key', ...command);
      assert.equal(exit, exitCodes.failed, `${command.join(' ')}: ${stderr}`);
      assert.ok(stderr.includes(`"code":"${code}"`), `${command.join(' ')}: ${stderr}`);
    }
  }
});
