/** The steps of a migration from bind mounts to named volumes, as actions on the Engine, the repository and the compose files. */
import { createHash } from 'node:crypto';
import { lstat, opendir, readFile, realpath, stat, statfs } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { haltGroups } from '../control/cut/order.ts';
import { bindMountsOf, withNamedVolumes } from '../control/discovery/bind-mounts.ts';
import { discoverCompose } from '../control/discovery/compose.ts';
import {
  carryOn,
  isDone,
  type MigrationJournal,
  type MigrationStep,
  removeMigration,
  writeMigration,
} from '../control/migration/migration-journal.ts';
import { type HostBind, type MigrationPlan, planMigration } from '../control/migration/plan-migration.ts';
import { replaceFile } from '../control/restoring/journal-file.ts';
import { composeVolumeLabels } from '../control/restoring/plan-restore.ts';
import { awaitHealth, type ContainerStep, oneByOne, refuseTransient, startAll, stopAll } from '../control/restoring/start-again.ts';
import { HoldfastError } from '../model/errors.ts';
import { formatSize } from '../model/quantities.ts';
import type { Inventory, PlatformContainer } from '../platform/platform.ts';
import type { CommandContext } from './command.ts';
import { composeUp } from './compose-program.ts';
import { connectDocker, type DockerAccess, reach } from './docker-access.ts';
import { streamedVolume, takeGuard } from './guard-snapshots.ts';
import { findProjectFile } from './project.ts';
import { restoreSnapshots } from './restore-snapshots.ts';
import { type Session, withRepository } from './session.ts';

type Context = CommandContext<unknown>;
type OnStep = (step: MigrationStep) => void;
type Size = { files: number; bytes: number; owner: string };

export type FoundMigration = {
  project: string;
  plan: MigrationPlan;
  sizes: Map<string, Size>;
  files: string[];
  inventory: Inventory;
  access: DockerAccess;
};

const lanes = 2;

/** Looks only. Close the `access` that is returned. @throws `configuration`, `usage`, `engine-unreachable`, `target-full`. */
export async function findMigration(context: Context, services: readonly string[] | undefined): Promise<FoundMigration> {
  const { cwd, environment } = context;
  const discovered = await discoverCompose(cwd, environment);
  if (discovered === undefined)
    throw new HoldfastError('configuration-missing', `there is no compose file in ${cwd}`, {
      remedy: 'run it in the folder of the compose file',
    });
  const access = (await connectDocker(context, 'required')) as DockerAccess;
  try {
    const inventory = await access.containers.inventory();
    const binds = (await Promise.all(discovered.files.map((file) => hostBinds(file, cwd, environment)))).flat();
    const { project, files } = discovered;
    const plan = planMigration({
      ...{ project, folder: await realpath(cwd), binds, services },
      takenKeys: discovered.volumes.map(({ name }) => name),
      takenVolumes: inventory.volumes.map(({ name }) => name),
    });
    const sizes = new Map<string, Size>();
    for (const { directory } of plan.volumes) sizes.set(directory, await sizeOf(directory));
    await refuseTooLittleSpace(inventory, [...sizes.values()]);
    return { project, plan, sizes, files, inventory, access };
  } catch (error) {
    await access.close();
    throw error;
  }
}

async function hostBinds(file: string, folder: string, environment: NodeJS.ProcessEnv): Promise<HostBind[]> {
  const entries = bindMountsOf(await readFile(file, 'utf8'), file);
  return Promise.all(
    entries.map(async (entry): Promise<HostBind> => {
      if (entry.from.includes('$'))
        return { file, entry: { ...entry, hindrance: 'a variable names it' }, directory: entry.from, kind: 'other' };
      const path = resolve(folder, entry.from.replace(/^~(?=\/|$)/, environment.HOME || homedir()));
      const directory = await realpath(path).catch(() => path);
      const found = await stat(directory).catch(() => undefined);
      return { file, entry, directory, kind: found === undefined ? 'missing' : found.isDirectory() ? 'directory' : 'other' };
    }),
  );
}

/** What the volumes will take. Files with several names count once a name. */
async function sizeOf(directory: string): Promise<Size> {
  const { uid, gid } = await stat(directory);
  const size = { files: 0, bytes: 0, owner: `${uid}:${gid}` };
  for await (const entry of await opendir(directory, { recursive: true })) {
    if (entry.isDirectory()) continue;
    size.files++;
    const found = await lstat(join(entry.parentPath, entry.name)).catch(() => undefined);
    size.bytes += Math.min(found?.size ?? 0, (found?.blocks ?? 0) * 512);
  }
  return size;
}

/** Where another volume is, those that are made will be too. */
async function refuseTooLittleSpace({ volumes }: Inventory, sizes: readonly Size[]): Promise<void> {
  const place = volumes.find(({ driver, mountPoint }) => driver === 'local' && mountPoint !== undefined)?.mountPoint;
  const free = place === undefined ? undefined : await statfs(place).catch(() => undefined);
  const needed = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
  if (free === undefined || needed <= free.bavail * free.bsize) return;
  throw new HoldfastError(
    'target-full',
    `the volumes would take ${formatSize(needed)}, and there is room for ${formatSize(free.bavail * free.bsize)}`,
  );
}

/** Notes durably what will be done. Nothing else has changed when it returns. */
export async function beginMigration(
  { cwd }: Context,
  { project, plan, files, inventory, access }: FoundMigration,
  owner: { uid: number; gid: number } | undefined,
): Promise<MigrationJournal> {
  const directories = plan.volumes.map(({ directory }) => directory);
  const users = inventory.containers.filter(
    ({ state, mounts }) =>
      (state === 'running' || state === 'restarting' || state === 'paused') &&
      mounts.some(({ kind, from }) => kind === 'bind' && directories.includes(from)),
  );
  const foreign = users.find((container) => container.project !== project || container.service === undefined);
  if (foreign !== undefined) {
    throw new HoldfastError(
      'volume-in-use',
      `container ${foreign.name}, which is not of the project ${project}, mounts one of the directories`,
      {
        remedy: `stop it first: docker stop ${foreign.name}; it goes on using the directory, not the volume, when it starts`,
      },
    );
  }
  await refuseTransient(access.containers, inventory, users);
  const stopped = haltGroups(users, inventory.containers)
    .flat()
    .map(({ id, name }) => ({ id, name }));
  const services = [...new Set(users.map(({ service }: PlatformContainer) => service as string))];
  const keys = new Map(
    plan.volumes.flatMap(({ key, uses }) => uses.map((use) => [`${use.file}\n${use.service}\n${use.from}\n${use.path}`, key])),
  );
  const changed: MigrationJournal['files'] = [];
  for (const [place, path] of files.entries()) {
    const before = await readFile(path, 'utf8');
    const declared = place === 0 ? plan.volumes.map(({ key }) => key) : [];
    const after = withNamedVolumes(
      before,
      path,
      ({ service, from, path: at }) => keys.get(`${path}\n${service}\n${from}\n${at}`),
      declared,
    );
    if (after !== before) changed.push({ path, backup: `${path}.before-migration`, before, after });
  }
  const journal: MigrationJournal = { project, done: undefined, volumes: plan.volumes, files: changed, stopped, services, owner };
  await writeMigration(cwd, journal);
  return journal;
}

const digest = (text: string) => createHash('sha256').update(text).digest('hex');

/** @returns the journal of a migration that is complete. @throws what a step throws; run again, it goes on with that step. */
export async function continueMigration(
  context: Context,
  begun: MigrationJournal,
  healthTimeoutMs: number,
  onStep: OnStep,
): Promise<MigrationJournal> {
  return withEngineAndRepository(context, async (access, session) => {
    const { containers, volumes } = access;
    const { output, cwd, signal } = context;
    const onContainer = ({ step, container }: ContainerStep) => output.note(`${container}: ${step}`);
    const steps = {
      async stop({ stopped }: MigrationJournal) {
        await stopAll({ containers, signal, onStep: onContainer }, oneByOne(stopped));
        return {};
      },
      async guard({ project, volumes: migrated }: MigrationJournal) {
        const wanted = migrated.map(({ key, directory }) => ({ name: key, directory }));
        const { run, snapshots } = await takeGuard(session, {
          project,
          volumes: wanted,
          consistency: 'stopped',
          tags: [],
          lanes,
          report: output.report,
        });
        return { guard: { run, snapshots: Object.fromEntries(snapshots.map(({ volume, id }) => [volume, id])) } };
      },
      async make({ project, volumes: migrated }: MigrationJournal) {
        const inventory = await containers.inventory(signal);
        for (const { key, engineVolume } of migrated) {
          const labels = composeVolumeLabels(project, key, inventory);
          await volumes.create({ name: engineVolume, driver: 'local', driverOptions: {}, labels });
        }
        return {};
      },
      async copy({ volumes: migrated, guard, owner }: MigrationJournal) {
        const inventory = await containers.inventory(signal);
        const copies = [];
        for (const { key, engineVolume } of migrated) {
          const volume = inventory.volumes.find(({ name }) => name === engineVolume);
          if (volume === undefined) throw new HoldfastError('volume-missing', `the volume ${engineVolume} is gone`, { volume: key });
          copies.push({ volume: key, id: guard?.snapshots[key] as string, ...(await reach(access, volume)) });
        }
        await restoreSnapshots(session, copies, { lanes, report: output.report, ...(owner === undefined ? {} : { owner }) });
        return {};
      },
      async rewrite({ files }: MigrationJournal) {
        for (const file of files) {
          const now = await readFile(file.path, 'utf8');
          if (now !== file.after) {
            if (now !== file.before) throw changedMeanwhile(file.path);
            await replaceFile(file.backup, file.before, await attributesOf(file.path));
            await replaceFile(file.path, file.after, await attributesOf(file.path));
          }
        }
        return {};
      },
      async start({ project, services }: MigrationJournal) {
        await startServices(context, access, { folder: cwd, project, services }, healthTimeoutMs);
        return {};
      },
    };
    return carryOn(cwd, begun, steps, onStep);
  });
}

const changedMeanwhile = (path: string) =>
  new HoldfastError('migration-unfinished', `${path} was changed since the migration began`, {
    file: path,
    remedy: 'put it back as it was then (`.holdfast-migration.json` and the copy beside it have it), and run again',
  });

async function attributesOf(path: string): Promise<{ mode: number; owner: { uid: number; gid: number } }> {
  const { mode, uid, gid } = await stat(path);
  return { mode: mode & 0o7777, owner: { uid, gid } };
}

async function startServices(
  context: Context,
  { containers }: DockerAccess,
  what: { folder: string; project: string; services: readonly string[] },
  healthTimeoutMs: number,
): Promise<void> {
  // What didn't run before is not started.
  if (what.services.length === 0) return;
  await composeUp(context, what);
  const inventory = await containers.inventory();
  for (const { id, name, project, service } of inventory.containers) {
    if (project !== what.project || service === undefined || !what.services.includes(service)) continue;
    const state = await awaitHealth({ containers, signal: context.signal }, id, healthTimeoutMs);
    if (state !== undefined)
      throw new HoldfastError('container-down', `container ${name} ${state}`, {
        remedy: `see \`docker logs ${name}\`; then run again, or with --undo`,
      });
  }
}

/**
 * Back to the bind mounts. Once services may have run with the volumes, what is in those goes back to the directories, and the volumes are kept;
 * before that, the directories are what they were, and the volumes go.
 * @returns the volumes that are kept.
 */
export async function undoMigration(
  context: Context,
  journal: MigrationJournal,
  healthTimeoutMs: number,
  onStep: OnStep,
): Promise<string[]> {
  const { cwd, signal, output } = context;
  for (const { path, before, after } of journal.files) {
    const now = digest(await readFile(path, 'utf8'));
    if (now !== digest(after) && now !== digest(before)) throw changedMeanwhile(path);
  }
  return withEngineAndRepository(context, async (access, session) => {
    const { containers } = access;
    const names = journal.volumes.map(({ engineVolume }) => engineVolume);
    const options = { containers, signal, onStep: ({ step, container }: ContainerStep) => output.note(`${container}: ${step}`) };
    const inventory = await containers.inventory();
    const users = inventory.containers.filter(({ mounts }) => mounts.some(({ kind, from }) => kind === 'volume' && names.includes(from)));
    onStep('stop');
    await stopAll(options, haltGroups(users, inventory.containers));
    const used = isDone(journal, 'rewrite');
    if (used) await copyBack(context, session, access, journal, onStep);
    onStep('rewrite');
    for (const { path, before } of journal.files) await replaceFile(path, before, await attributesOf(path));
    onStep('start');
    if (used) await startServices(context, access, { folder: cwd, project: journal.project, services: journal.services }, healthTimeoutMs);
    else {
      for (const name of names) await access.volumes.remove(name);
      await startAll(options, journal.stopped, healthTimeoutMs);
    }
    await removeMigration(cwd);
    return used ? names : [];
  });
}

async function copyBack(
  { output }: Context,
  session: Session,
  access: DockerAccess,
  { project, volumes: migrated }: MigrationJournal,
  onStep: OnStep,
): Promise<void> {
  const inventory = await access.containers.inventory();
  const places = [];
  for (const { key, engineVolume } of migrated) {
    const volume = inventory.volumes.find(({ name }) => name === engineVolume);
    if (volume === undefined) throw new HoldfastError('volume-missing', `the volume ${engineVolume} is gone`, { volume: key });
    const { directory, stream } = await reach(access, volume);
    places.push(stream === undefined ? { name: key, directory } : streamedVolume(key, engineVolume, stream));
  }
  onStep('guard');
  const { snapshots } = await takeGuard(session, {
    project,
    volumes: places,
    consistency: 'stopped',
    tags: [],
    lanes,
    report: output.report,
  });
  onStep('copy');
  const copies = snapshots.map(({ volume, id }) => ({
    volume,
    id,
    directory: migrated.find(({ key }) => key === volume)?.directory as string,
  }));
  await restoreSnapshots(session, copies, { lanes, report: output.report });
}

async function withEngineAndRepository<Result>(
  context: Context,
  work: (access: DockerAccess, session: Session) => Promise<Result>,
): Promise<Result> {
  const configuration = await findProjectFile(context);
  const access = (await connectDocker(context, 'required')) as DockerAccess;
  try {
    return await withRepository(context, configuration, 'shared', (session) => work(access, session));
  } finally {
    await access.close();
  }
}
