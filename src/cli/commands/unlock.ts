import { exitCodes } from '../../model/errors.ts';
import { listLocks } from '../../repository/locks.ts';
import type { Command } from '../command.ts';
import { displayText } from '../output/text.ts';
import { findProject } from '../project.ts';
import { withRepository } from '../session.ts';
import { systemClock } from '../system-clock.ts';

type Options = { removeAll?: boolean; dryRun?: boolean };

export const command: Command<Options> = {
  configure(commander) {
    commander
      .option('--remove-all', 'remove locks of living processes too: only when you are sure that none is at work')
      .option('-n, --dry-run', 'remove nothing; say what would be removed');
  },

  async run(context) {
    const { options, output } = context;
    const configuration = await findProject(context);
    await withRepository(context, configuration, 'none', async ({ repository }) => {
      const unreadable: string[] = [];
      const locks = await listLocks(repository, systemClock, (name) => unreadable.push(name));
      const remove = (name: string) => (options.dryRun ? undefined : repository.storage.remove({ kind: 'locks', name }));
      const removed = options.dryRun ? 'would remove' : 'removed';
      const doomed = locks.filter((lock) => options.removeAll || lock.stale);
      for (const lock of doomed) {
        await remove(lock.name);
        const { name, time, exclusive, username, hostname, pid, stale } = lock;
        output.document({ name, time, exclusive, username, hostname, pid, stale, removed: !options.dryRun });
        output.line(`${removed} the lock of process ${pid} of ${displayText(username)} on ${displayText(hostname)}, of ${time}`);
      }
      for (const name of options.removeAll ? unreadable : []) {
        await remove(name);
        output.document({ name, unreadable: true, removed: !options.dryRun });
        output.line(`${removed} the lock file ${name}, which cannot be read`);
      }
      if (unreadable.length > 0 && !options.removeAll) {
        output.warning(`lock files that cannot be read: ${unreadable.join(', ')}; --remove-all removes them, when no process is at work`);
      }
      const left = locks.length - doomed.length;
      if (left > 0) output.note(`${left} ${left === 1 ? 'lock is' : 'locks are'} held by processes that seem to be alive`);
      else if (doomed.length + unreadable.length === 0) output.note('there are no locks');
    });
    return exitCodes.done;
  },
};
