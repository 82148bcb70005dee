/** Whether what was restored is what was there: by the demo's own comparison and, where it is installed, by rsync. */
import { join } from 'node:path';
import { differences, type Listing, listTree } from './compare.ts';
import { DemoFailure } from './holdfast.ts';
import { say } from './narrate.ts';
import { findProgram, runProgram } from './programs.ts';
import { databaseName } from './state.ts';

export type Reference = {
  /** The volumes as they were at the restore point. */
  listings: Map<string, Listing>;
  /** Where these volumes are now, untouched, for rsync to compare with. */
  folder: string;
};

/** Remembers the volumes as they are; `folder` is where nobody will touch them from now on. */
export function remember(volumesFolder: string, names: readonly string[], folder: string): Reference {
  return { listings: new Map(names.map((name) => [name, listTree(join(volumesFolder, name))])), folder };
}

const shown = 10;

/**
 * Proves that volumes are what they were.
 * @param newTime a folder, as `VOLUME/PATH`, whose modification time alone may be another.
 * @throws DemoFailure with the first differences.
 */
export async function prove(reference: Reference, volumesFolder: string, names: readonly string[], newTime?: string): Promise<string> {
  const found: string[] = [];
  const rsync = findProgram('rsync');
  for (const name of names) {
    const actual = listTree(join(volumesFolder, name));
    for (const { path, what } of differences(reference.listings.get(name) as Listing, actual)) {
      if (what !== 'modification time' || join(name, path) !== newTime) found.push(`${join(name, path)}: ${what}`);
    }
    if (rsync !== undefined) found.push(...(await rsyncDifferences(rsync, reference, volumesFolder, name, newTime)));
  }
  if (found.length > 0) {
    const more = found.length > shown ? `\nand ${found.length - shown} more` : '';
    throw new DemoFailure(`what was restored is not what was there:\n${found.slice(0, shown).join('\n')}${more}`);
  }
  say(
    `identical: contents, types, modes, owners, times to the nanosecond, links${rsync === undefined ? '' : '; rsync finds no difference'} (counters in the header of ${databaseName} aside: SQLite copied it)`,
  );
  return 'identical';
}

async function rsyncDifferences(
  rsync: string,
  reference: Reference,
  volumesFolder: string,
  name: string,
  newTime: string | undefined,
): Promise<string[]> {
  const args = ['-aHAXSnci', '--numeric-ids', '--delete', `${join(reference.folder, name)}/`, `${join(volumesFolder, name)}/`];
  const { exitCode, stdout, stderr } = await runProgram(rsync, args, volumesFolder);
  if (exitCode !== 0) throw new DemoFailure(`rsync ended with exit code ${exitCode}:\n${stderr}`);
  return (
    stdout
      .split('\n')
      .filter((line) => line !== '')
      // A difference in content alone, which the demo's own comparison judges without SQLite's counters.
      .filter((line) => line !== `>fc........ ${databaseName}`)
      .filter((line) => !(line.startsWith('.d..t...... ') && join(name, line.slice(12)) === `${newTime}/`))
      .map((line) => `rsync: ${name}: ${line}`)
  );
}
