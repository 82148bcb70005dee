import { exitCodes } from '../../model/errors.ts';
import { listLocks } from '../../repository/locks.ts';
import type { Command } from '../command.ts';
import { displayText } from '../output/text.ts';
import { findProject, systemClock, withRepository } from '../session.ts';

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
      const locks = await listLocks(repository, systemClock);
      const doomed = locks.filter((lock) => options.removeAll || lock.stale);
      for (const lock of doomed) {
        if (!options.dryRun) await repository.storage.remove({ kind: 'locks', name: lock.name });
        const { name, time, exclusive, username, hostname, pid, stale } = lock;
        output.document({ name, time, exclusive, username, hostname, pid, stale, removed: !options.dryRun });
        output.line(
          `${options.dryRun ? 'would remove' : 'removed'} the lock of process ${pid} of ${displayText(username)} on ${displayText(hostname)}, of ${time}`,
        );
      }
      const left = locks.length - doomed.length;
      if (left > 0) output.note(`${left} ${left === 1 ? 'lock is' : 'locks are'} held by processes that seem to be alive`);
      else if (doomed.length === 0) output.note('there are no locks');
    });
    return exitCodes.done;
  },
};
