/** A repository with a little history, for comparing what commands that read it say with what restic says. */
import assert from 'node:assert/strict';
import { appendFileSync, chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createRepository } from '../../src/repository/repository.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { makeAwkwardTree, randomBytes } from '../awkward-tree.ts';
import { commandLine } from '../command-line.ts';
import { type Restic, requirePeer, requireRestic, scratch } from '../peers.ts';
import { type Document, documents, type Project, projectAt } from '../programs.ts';
import { scratchOptions } from '../scratch-repository.ts';

export type BrowsedProject = {
  program: Restic;
  rsync: string;
  project: Project;
  volume: string;
  ids: [string, string];
  /** Runs a command line with `--json`, and gives what it wrote. Its exit code must be one of those. */
  ask: (args: readonly string[], exit?: readonly number[]) => Promise<Document[]>;
};

/** Two snapshots of everything awkward; undefined when a peer is missing and the test is marked as skipped. */
export async function browsedProject(t: TestContext): Promise<BrowsedProject | undefined> {
  const rsync = requirePeer(t, 'rsync');
  const program = requireRestic(t, 'newest');
  if (!rsync || !program || !requirePeer(t, 'setfacl') || !requirePeer(t, 'setcap')) return undefined;
  const folder = scratch(t);
  const volume = join(folder, 'volume');
  mkdirSync(volume);
  makeAwkwardTree(volume, { asRoot: process.getuid?.() === 0 });
  mkdirSync(join(volume, 'leaving/deep'), { recursive: true });
  for (const file of ['leaving/deep/a', 'leaving/b', 'becomes-folder', 'stays']) writeFileSync(join(volume, file), `${file}\n`);
  symlinkSync('here', join(volume, 'becomes-file'));
  writeFileSync(join(volume, 'large'), randomBytes(9_000_000));
  const project = projectAt(folder, volume);
  // A key that is cheap to open: all the programs open it again and again.
  await createRepository(createLocalStorage(project.repository), { ...scratchOptions, password: Buffer.from('holdfast-key-of-the-tests') });
  const say = commandLine(folder);
  const ask = async (args: readonly string[], exit: readonly number[] = [0]) => {
    const said = await say('--json', ...args);
    assert.ok(exit.includes(said.exit), `${args.join(' ')}: ${said.exit} ${said.stderr}`);
    return documents(said.stdout);
  };
  await ask(['backup']);
  edit(volume);
  await ask(['backup']);
  const [first, second] = (await ask(['snapshots'])).map(({ id }) => id as string) as [string, string];
  return { program, rsync, project, volume, ids: [first, second], ask };
}

function edit(volume: string): void {
  appendFileSync(join(volume, 'large'), 'more');
  rmSync(join(volume, 'leaving'), { recursive: true });
  rmSync(join(volume, 'becomes-file'));
  writeFileSync(join(volume, 'becomes-file'), 'a file now\n');
  chmodSync(join(volume, 'stays'), 0o600);
  renameSync(join(volume, 'times/0.1'), join(volume, 'moved'));
  mkdirSync(join(volume, 'arriving/deep'), { recursive: true });
  writeFileSync(join(volume, 'arriving/deep/hole.txt'), 'new\n');
}
