/** What the commands begin with that read snapshots and change nothing. */
import type { Command as CommanderCommand } from 'commander';
import type { Configuration } from '../control/configuration/configuration.ts';
import { createTrees, type Trees } from '../engine/browse/trees-ahead.ts';
import type { StoredSnapshot } from '../model/snapshot.ts';
import { loadIndex } from '../repository/load-index.ts';
import type { Repository } from '../repository/repository.ts';
import { listSnapshots } from '../repository/snapshots.ts';
import type { CommandContext } from './command.ts';
import { findProject } from './project.ts';
import { withRepository } from './session.ts';

export type BrowseOptions = { lock: boolean };

export function configureBrowsing(commander: CommanderCommand): void {
  commander.option('--no-lock', 'write no lock: for a repository that cannot be written, while nobody prunes it');
}

export type Browsing = {
  configuration: Configuration | undefined;
  repository: Repository;
  /** Oldest first. */
  snapshots: StoredSnapshot[];
  trees: Trees;
  /** Aborts at interruption, and when the lock is lost. */
  signal: AbortSignal;
};

/** Opens the repository with a shared lock, so that no prune removes what is being read. Damaged snapshot files are told of and passed over. */
export async function browse<Result>(
  context: CommandContext<BrowseOptions>,
  work: (browsing: Browsing) => Promise<Result>,
): Promise<Result> {
  const configuration = await findProject(context);
  const onDamaged = (name: string) => context.output.warning(`the snapshot file ${name} is damaged; run \`holdfast check\``);
  return withRepository(context, configuration, context.options.lock ? 'shared' : 'none', async ({ repository, signal }) => {
    const [snapshots, index] = await Promise.all([listSnapshots(repository, onDamaged), loadIndex(repository)]);
    return work({ configuration, repository, snapshots, trees: createTrees({ repository, index, signal }), signal });
  });
}
