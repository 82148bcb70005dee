import { bytesOf, milliseconds } from './accepted.ts';
import type { DaemonConfiguration, Effort, MaintenanceConfiguration, QuietHours, ScheduleConfiguration, When } from './configuration.ts';
import { defaults } from './defaults.ts';
import { resolvePath } from './repository-url.ts';
import type { ConfigurationFile } from './schema.ts';
import { weekdays } from './schema-parts.ts';

/** What `holdfast up` reads, with units and defaults. The file must have passed all checks. */

type ScheduleInFile = NonNullable<ConfigurationFile['schedules']>[string];
type MaintenanceInFile = NonNullable<ConfigurationFile['maintenance']>;
type DaemonInFile = NonNullable<ConfigurationFile['daemon']>;
type WhenInFile = Pick<ScheduleInFile, 'cron' | 'every' | 'timeZone' | 'jitter'>;
type EffortInFile = Pick<ScheduleInFile, 'priority' | 'deadline' | 'attempts'>;

export function resolveWhen(given: WhenInFile, otherwise: { cron?: string; every?: string } = {}): When {
  const { cron, every } = given.cron === undefined && given.every === undefined ? otherwise : given;
  const jitterMs = given.jitter === undefined ? 0 : milliseconds(given.jitter);
  return every === undefined
    ? { at: { kind: 'cron', cron: cron as string, timeZone: given.timeZone }, jitterMs }
    : { at: { kind: 'every', everyMs: milliseconds(every) }, jitterMs };
}

export function resolveEffort({ priority, deadline, attempts }: EffortInFile, kind: keyof typeof defaults.priorities): Effort {
  return {
    priority: priority ?? defaults.priorities[kind],
    deadlineMs: milliseconds(deadline ?? defaults.job.deadline),
    attempts: attempts ?? defaults.job.attempts,
  };
}

export function resolveSchedule(name: string, schedule: ScheduleInFile, firstRepository: string): ScheduleConfiguration {
  const { copy, to = firstRepository, volumes } = schedule;
  const action: ScheduleConfiguration['action'] =
    copy === undefined ? { kind: 'backup', to, ...(volumes === undefined ? {} : { volumes }) } : { kind: 'copy', ...copy };
  return { name, ...resolveWhen(schedule), ...resolveEffort(schedule, action.kind), action };
}

export function resolveMaintenance({ forget = {}, check = {}, usage = {} }: MaintenanceInFile): MaintenanceConfiguration {
  const all = defaults.maintenance;
  const task = (kind: 'forget' | 'check' | 'usage', given: WhenInFile & EffortInFile & { enabled?: boolean | undefined }) =>
    (given.enabled ?? all[kind].enabled) ? { ...resolveWhen(given, all[kind]), ...resolveEffort(given, kind) } : undefined;
  const checking = task('check', check);
  return {
    forget: task('forget', forget),
    check: checking && { ...checking, rereadMs: milliseconds(check.reread ?? all.check.reread) },
    usage: task('usage', usage),
  };
}

export function resolveDaemon(given: DaemonInFile, directory: string): DaemonConfiguration {
  const { listen = defaults.daemon.listen, tls, limits } = given;
  return {
    listen: listen.includes('/') ? resolvePath(directory, listen) : listen,
    tls: tls && { certificate: resolvePath(directory, tls.certificate), key: resolvePath(directory, tls.key) },
    behindProxy: given.behindProxy ?? defaults.daemon.behindProxy,
    jobs: given.jobs ?? defaults.daemon.jobs,
    limits: { uploadBytesPerSecond: bytesOf(limits?.upload), downloadBytesPerSecond: bytesOf(limits?.download) },
    quietHours: (given.quietHours ?? []).map(resolveQuietHours),
    historyMs: milliseconds(given.history ?? defaults.daemon.history),
  };
}

export function resolveQuietHours({
  from,
  to,
  days,
  timeZone,
  backups = true,
}: NonNullable<DaemonInFile['quietHours']>[number]): QuietHours {
  const minute = (time: string) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3));
  return {
    fromMinute: minute(from),
    toMinute: minute(to),
    days: (days ?? weekdays).map((day) => (weekdays as readonly string[]).indexOf(day)),
    timeZone,
    backups,
  };
}
