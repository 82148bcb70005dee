/** Whether what was restored is what was there: by the demo's own comparison and, where it is installed, by rsync. */
import { join } from 'node:path';
import { differences, type Listing, listTree } from './compare.ts';
import { DemoFailure } from './holdfast.ts';
import { say } from './narrate.ts';
import { findProgram, runProgram } from './programs.ts';

export type Reference = {
  /** The volumes as they were at the restore point. */
  listings: Map<string, Listing>;
  /** A copy of them for rsync to compare with; undefined where rsync is not installed. */
  copy: { rsync: string; folder: string } | undefined;
};

/** Remembers the volumes as they are. */
export async function remember(volumesFolder: string, names: readonly string[], copyFolder: string): Promise<Reference> {
  const listings = new Map(names.map((name) => [name, listTree(join(volumesFolder, name))]));
  const rsync = findProgram('rsync');
  if (rsync === undefined) return { listings, copy: undefined };
  await runOrFail(rsync, ['-aHAXS', '--numeric-ids', `${volumesFolder}/`, `${copyFolder}/`], volumesFolder);
  return { listings, copy: { rsync, folder: copyFolder } };
}

const shown = 10;

/**
 * Proves that volumes are what they were.
 * @param newTime a folder, as `VOLUME/PATH`, whose modification time alone may be another.
 * @throws DemoFailure with the first differences.
 */
export async function prove(reference: Reference, volumesFolder: string, names: readonly string[], newTime?: string): Promise<string> {
  const found: string[] = [];
  for (const name of names) {
    const actual = listTree(join(volumesFolder, name));
    for (const { path, what } of differences(reference.listings.get(name) as Listing, actual)) {
      if (what !== 'modification time' || join(name, path) !== newTime) found.push(`${join(name, path)}: ${what}`);
    }
    found.push(...(await rsyncDifferences(reference, volumesFolder, name, newTime)));
  }
  if (found.length > 0) {
    const more = found.length > shown ? `\nand ${found.length - shown} more` : '';
    throw new DemoFailure(`what was restored is not what was there:\n${found.slice(0, shown).join('\n')}${more}`);
  }
  say(`identical: contents, types, modes, owners, times to the nanosecond, links${reference.copy ? '; rsync finds no difference' : ''}`);
  return 'identical';
}

async function rsyncDifferences({ copy }: Reference, volumesFolder: string, name: string, newTime: string | undefined): Promise<string[]> {
  if (copy === undefined) return [];
  const args = ['-aHAXSnci', '--numeric-ids', '--delete', `${join(copy.folder, name)}/`, `${join(volumesFolder, name)}/`];
  const output = await runOrFail(copy.rsync, args, volumesFolder);
  return output
    .split('\n')
    .filter((line) => line !== '')
    .filter((line) => !(line.startsWith('.d..t...... ') && join(name, line.slice(12)) === `${newTime}/`))
    .map((line) => `rsync: ${name}: ${line}`);
}

async function runOrFail(program: string, args: readonly string[], cwd: string): Promise<string> {
  const { exitCode, stdout, stderr } = await runProgram(program, args, cwd);
  if (exitCode !== 0) throw new DemoFailure(`${program} ended with exit code ${exitCode}:\n${stderr}`);
  return stdout;
}
