import type { MigrationJournal, MigrationStep } from '../../control/migration/migration-journal.ts';
import { isDone, readMigration } from '../../control/migration/migration-journal.ts';
import type { MigrationPlan } from '../../control/migration/plan-migration.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { formatSize, parseDuration } from '../../model/quantities.ts';
import type { Command, CommandContext } from '../command.ts';
import { beginMigration, continueMigration, findMigration, undoMigration } from '../migrate-bind.ts';
import { migrateVolume, type VolumeOptions } from '../migrate-volume-command.ts';
import { displayText } from '../output/text.ts';

type Options = VolumeOptions & { all?: boolean; chown?: string; undo?: boolean; dryRun?: boolean; healthTimeout?: string };
type Context = CommandContext<Options>;

export const command: Command<Options> = {
  configure(commander) {
    commander
      .usage('bind [SERVICE...|--all] [options] | volume SOURCE TARGET [options]')
      .argument('<what>', '`bind`: from bind mounts to named volumes; `volume`: from one Docker volume to another')
      .argument('[names...]', 'of `bind`: services whose bind mounts become named volumes; of `volume`: source and target')
      .option('--all', 'bind: all services')
      .option('--chown <uid:gid>', 'bind: give all files in the volumes to this owner (default: owners stay)')
      .option('--to-docker-host <address>', 'volume: the target is at this Docker Engine (ssh://, tcp://, unix://)')
      .option('--to-context <name>', 'volume: the same, by the name of a Docker context')
      .option('--cut <way>', 'volume: stop or pause what uses the source while it is read, or read it live', 'stop')
      .option('--leave-stopped', 'volume: what was stopped stays so: the source is left for good')
      .option('--replace', 'volume: replace what the target holds, behind a guard snapshot')
      .option(
        '--undo',
        'go back: to the bind mounts, with what was written to the volumes since; of `volume`, from one that was interrupted',
      )
      .option('--health-timeout <duration>', 'how long each container may take to be healthy', '2m')
      .option('-n, --dry-run', 'show the plan, and change nothing')
      .addHelpText(
        'after',
        '\nRun `bind` in the folder of the compose file. A migration that was interrupted is carried on by running it again. For example:\n  holdfast migrate volume shop_data shop_data --to-docker-host ssh://root@new-host --leave-stopped',
      );
  },

  async run(context) {
    const { operands, options } = context;
    const [what, ...names] = operands;
    const healthTimeoutMs = parseDuration(options.healthTimeout ?? '2m');
    if (healthTimeoutMs === undefined)
      throw new HoldfastError('usage', `--health-timeout takes a duration, not ${JSON.stringify(options.healthTimeout)}`);
    if (what === 'bind') return migrateBind(context, names, healthTimeoutMs);
    if (what === 'volume') return migrateVolume(context, names, healthTimeoutMs);
    throw new HoldfastError('usage', `holdfast migrates \`bind\` and \`volume\`, not ${JSON.stringify(what)}`);
  },
};

async function migrateBind(context: Context, services: readonly string[], healthTimeoutMs: number): Promise<number> {
  const { options, output } = context;
  const begun = await readMigration(context.cwd);
  if (options.undo) return undo(context, begun, healthTimeoutMs);
  if (begun !== undefined && !isDone(begun, 'start')) {
    if (options.dryRun)
      throw new HoldfastError(
        'migration-unfinished',
        `a migration of ${begun.project} has begun, and come to "${begun.done ?? 'nothing'}"`,
      );
    output.note('carrying on with the migration that has begun');
    return finish(context, await continueMigration(context, begun, healthTimeoutMs, (step) => tell(context, step)));
  }
  if (services.length === 0 && !options.all)
    throw new HoldfastError('usage', 'name the services whose bind mounts become volumes, or --all');
  const found = await findMigration(context, options.all ? undefined : services);
  try {
    show(context, found.plan, found.sizes);
    if (options.dryRun || found.plan.volumes.length === 0) return exitCodes.done;
    const journal = await beginMigration(context, found, ownerOf(options.chown));
    return finish(context, await continueMigration(context, journal, healthTimeoutMs, (step) => tell(context, step)));
  } finally {
    await found.access.close();
  }
}

function ownerOf(text: string | undefined): { uid: number; gid: number } | undefined {
  if (text === undefined) return undefined;
  const [, uid, gid] = /^(\d{1,9}):(\d{1,9})$/.exec(text) ?? [];
  if (uid === undefined) throw new HoldfastError('usage', `--chown takes UID:GID, two numbers, not ${JSON.stringify(text)}`);
  return { uid: Number(uid), gid: Number(gid) };
}

async function undo(context: Context, begun: MigrationJournal | undefined, healthTimeoutMs: number): Promise<number> {
  const { options, output } = context;
  if (begun === undefined)
    throw new HoldfastError('usage', `no migration was made in ${context.cwd}`, { remedy: 'run it in the folder of the compose file' });
  if (options.dryRun) {
    for (const { key, directory } of begun.volumes) output.line(`would mount ${displayText(directory)} again instead of the volume ${key}`);
    return exitCodes.done;
  }
  const kept = await undoMigration(context, begun, healthTimeoutMs, (step) => tell(context, step));
  output.document({ event: 'migration', step: 'undone', kept });
  output.line('the bind mounts are back');
  if (kept.length > 0) output.line(`the volumes are kept; to remove them: docker volume rm ${kept.join(' ')}`);
  return exitCodes.done;
}

const texts: Record<MigrationStep, string> = {
  stop: 'stopping what uses the directories',
  guard: 'taking guard snapshots of them',
  make: 'making the volumes',
  copy: 'copying, and reading back what was copied',
  rewrite: 'writing the compose file',
  start: 'starting the services',
};

function tell({ output }: Context, step: MigrationStep): void {
  output.note(texts[step]);
  output.document({ event: 'migration', step });
}

function show(
  { output }: Context,
  { volumes, staying }: MigrationPlan,
  sizes: ReadonlyMap<string, { files: number; bytes: number; owner: string }>,
): void {
  for (const { key, engineVolume, directory, uses } of volumes) {
    const size = sizes.get(directory) ?? { files: 0, bytes: 0, owner: '' };
    output.document({ event: 'migration-plan', key, volume: engineVolume, directory, uses, ...size });
    const where = uses.map(({ service, path }) => `${service}:${path}`).join(', ');
    output.line(
      displayText(`${directory} -> volume ${engineVolume} (${where}): ${size.files} files, ${formatSize(size.bytes)}, owner ${size.owner}`),
    );
  }
  for (const bind of staying) {
    output.document({ event: 'migration-stays', ...bind });
    output.line(displayText(`${bind.service}: ${bind.from} stays a bind mount: ${bind.reason}`));
  }
}

function finish({ output }: Context, { volumes, files, guard }: MigrationJournal): number {
  output.document({ event: 'migration', step: 'done', volumes: volumes.map(({ engineVolume }) => engineVolume), guard: guard?.run });
  output.line(
    `${volumes.map(({ engineVolume }) => engineVolume).join(', ')}: in use. The compose file as it was: ${files.map(({ backup }) => backup).join(', ')}`,
  );
  output.line('the directories are left as they were; to go back: holdfast migrate bind --undo');
  output.note(`declare the volumes in holdfast.yaml, so that they are backed up: ${volumes.map(({ key }) => key).join(', ')}`);
  return exitCodes.done;
}
