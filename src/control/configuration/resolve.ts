import { basename, dirname } from 'node:path';
import { type CountRule, countRules, type SpanRule, spanRules } from '../../engine/maintenance/retention.ts';
import type { BrakeSettings } from '../../engine/maintenance/snapshot-evidence.ts';
import { parseSpan, type Span } from '../../model/span.ts';
import { bytesOf, milliseconds } from './accepted.ts';
import type {
  Configuration,
  DrillConfiguration,
  Hook,
  Hooks,
  Objectives,
  RepositoryConfiguration,
  RetentionConfiguration,
  VolumeConfiguration,
  VolumeSource,
} from './configuration.ts';
import { defaults } from './defaults.ts';
import { repositoryPlace, resolvePath } from './repository-url.ts';
import { resolveDaemon, resolveEffort, resolveMaintenance, resolveSchedule, resolveWhen } from './resolve-daemon.ts';
import { resolveNotification } from './resolve-notification.ts';
import type { ConfigurationFile } from './schema.ts';

type VolumeInFile = NonNullable<ConfigurationFile['volumes'][string]>;
type RepositoryInFile = NonNullable<ConfigurationFile['repositories']>[string];
type RetentionInFile = NonNullable<ConfigurationFile['retention']>;
type ObjectivesInFile = NonNullable<ConfigurationFile['objectives']>;

/** Fills in the defaults and turns what people write into what programs use. The file must have passed all checks. */
export function resolveConfiguration(parsed: ConfigurationFile, file: string): Configuration {
  const directory = dirname(file);
  const repositories = Object.entries(parsed.repositories ?? defaults.repositories).map(([name, repository]) =>
    resolveRepository(name, repository, directory),
  );
  const firstRepository = (repositories[0] as RepositoryConfiguration).name;
  // What most of a thousand volumes share is resolved once.
  const shared = { retention: resolveRetention(parsed.retention ?? {}), objectives: resolveObjectives(parsed.objectives ?? {}) };
  return {
    file,
    directory,
    project: parsed.project ?? basename(directory),
    volumes: Object.entries(parsed.volumes).map(([name, volume]) => resolveVolume(name, volume ?? {}, { ...parsed, directory, shared })),
    repositories,
    schedules: Object.entries(parsed.schedules ?? defaults.schedules).map(([name, schedule]) =>
      resolveSchedule(name, schedule, firstRepository),
    ),
    hooks: resolveHooks(parsed.hooks ?? {}),
    ...shared,
    drills: resolveDrills(parsed.drills ?? {}),
    maintenance: resolveMaintenance(parsed.maintenance ?? {}),
    notifications: Object.entries(parsed.notifications ?? {}).map(([name, given]) => resolveNotification(name, given, directory)),
    daemon: resolveDaemon(parsed.daemon ?? {}, directory),
  };
}

type Project = ConfigurationFile & { directory: string; shared: Pick<Configuration, 'retention' | 'objectives'> };

function resolveVolume(name: string, volume: VolumeInFile, project: Project): VolumeConfiguration {
  const { retention, objectives } = volume;
  return {
    name,
    path: volume.path,
    sizeBytes: bytesOf(volume.size),
    criticality: volume.criticality ?? defaults.volume.criticality,
    sensitive: volume.sensitive ?? defaults.volume.sensitive,
    app: volume.app === 'auto' ? undefined : volume.app,
    cut: volume.cut ?? defaults.volume.cut,
    source: resolveSource(volume.source, project.directory),
    exclude: [...(project.exclude ?? []), ...(volume.exclude ?? [])],
    excludeIfPresent: [...(project.excludeIfPresent ?? []), ...(volume.excludeIfPresent ?? [])],
    excludeCaches: volume.excludeCaches ?? project.excludeCaches ?? defaults.volume.excludeCaches,
    oneFileSystem: volume.oneFileSystem ?? project.oneFileSystem ?? defaults.volume.oneFileSystem,
    retention: retention === undefined ? project.shared.retention : resolveRetention(mergeRetention(project.retention, retention)),
    objectives: objectives === undefined ? project.shared.objectives : resolveObjectives({ ...project.objectives, ...objectives }),
  };
}

function resolveSource(source: VolumeInFile['source'], directory: string): VolumeSource {
  if (source?.directory !== undefined) return { kind: 'directory', directory: resolvePath(directory, source.directory) };
  if (source?.docker !== undefined) return { kind: 'docker', volume: source.docker };
  if (source?.pvc !== undefined) {
    const [namespace, claim] = source.pvc.split('/') as [string, string];
    return { kind: 'pvc', namespace, claim };
  }
  return { kind: 'by-name' };
}

function resolveRepository(name: string, repository: RepositoryInFile, directory: string): RepositoryConfiguration {
  const place = repositoryPlace(repository.url);
  const command = repository.passwordCommand;
  const passwordFile = command === undefined ? resolvePath(directory, repository.passwordFile ?? defaults.passwordFile) : undefined;
  return {
    name,
    url: place.kind === 'local' ? resolvePath(directory, place.path) : repository.url,
    passwordFile,
    passwordCommand: typeof command === 'string' ? ['/bin/sh', '-c', command] : command,
    options: resolveOptions(repository),
    limits: {
      uploadBytesPerSecond: bytesOf(repository.limits?.upload),
      downloadBytesPerSecond: bytesOf(repository.limits?.download),
    },
    maintenance: repository.maintenance ?? defaults.repository.maintenance,
    cache: repository.cache ?? defaults.repository.cache,
  };
}

/** Kinds of storage take all their settings as text. */
function resolveOptions({ options = {}, connections }: RepositoryInFile): Record<string, string> {
  const texts = Object.entries(options).map(([name, value]) => [name, String(value)]);
  return Object.fromEntries(connections === undefined ? texts : [...texts, ['connections', String(connections)]]);
}

function resolveHooks(given: NonNullable<ConfigurationFile['hooks']>): Hooks {
  const resolve = (hooks: typeof given.before): Hook[] => (hooks ?? []).map(resolveHook);
  return { before: resolve(given.before), after: resolve(given.after), onError: resolve(given.onError) };
}

function resolveHook({ run, in: place, user, timeout }: NonNullable<NonNullable<ConfigurationFile['hooks']>['before']>[number]): Hook {
  return {
    command: typeof run === 'string' ? ['/bin/sh', '-c', run] : run,
    in: place,
    user,
    timeoutMs: milliseconds(timeout ?? defaults.hookTimeout),
  };
}

function resolveRetention(given: RetentionInFile): RetentionConfiguration {
  const counts = countRules.map((rule) => {
    const count = given[rule] ?? defaults.retention[rule];
    return [rule, count === 'unlimited' ? -1 : count];
  });
  const spans = spanRules.map((rule) => [rule, given[rule] === undefined ? undefined : parseSpan(given[rule])]);
  return {
    ...(Object.fromEntries(counts) as Record<CountRule, number>),
    ...(Object.fromEntries(spans) as Record<SpanRule, Span | undefined>),
    manualMs: milliseconds(given.manual ?? defaults.retention.manual),
    tags: given.tags ?? [],
    brake: resolveBrake(given.brake ?? {}),
  };
}

/** Key by key, those of the brake too. */
const mergeRetention = (project: RetentionInFile | undefined, volume: RetentionInFile): RetentionInFile => ({
  ...project,
  ...volume,
  brake: { ...project?.brake, ...volume.brake },
});

function resolveBrake(given: NonNullable<RetentionInFile['brake']>): BrakeSettings {
  const { enabled, shrink, churn, unreadable, torn } = { ...defaults.brake, ...given };
  const unlessOff = (value: number | 'off') => (value === 'off' ? undefined : value);
  return { enabled, shrinkPercent: unlessOff(shrink), churnPercent: unlessOff(churn), unreadable: unlessOff(unreadable), torn };
}

/** The policy and the brake of a file that says nothing about them. */
export const defaultRetention = (): RetentionConfiguration => resolveRetention({});

function resolveObjectives(objectives: ObjectivesInFile): Objectives {
  const { rpo, rto } = { ...defaults.objectives, ...objectives };
  return { rpoMs: milliseconds(rpo), rtoMs: milliseconds(rto) };
}

function resolveDrills(drills: NonNullable<ConfigurationFile['drills']>): DrillConfiguration | undefined {
  const { enabled = defaults.drills.enabled } = drills;
  return enabled ? { ...resolveWhen(drills, defaults.drills), ...resolveEffort(drills, 'drill') } : undefined;
}
