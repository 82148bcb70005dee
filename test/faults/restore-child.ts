/** A process that restores, to be killed: `node restore-child.ts REPOSITORY TARGET OVERWRITE`. Says "begun" when it has started. */
import type { Overwrite } from '../../src/engine/restore/options.ts';
import { restoreFrom } from '../engine/restore-support.ts';

const [repository, target, overwrite] = process.argv.slice(2) as [string, string, Overwrite];
await restoreFrom(repository, {
  target,
  overwrite,
  report: (event) => {
    if (event.event === 'volume-started') process.stdout.write('begun\n');
  },
});
