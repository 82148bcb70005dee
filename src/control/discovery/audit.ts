/** What is not protected as it should be: a pure function of facts. */
import { formatDuration } from '../../model/quantities.ts';
import type { Configuration, VolumeConfiguration } from '../configuration/configuration.ts';
import { longestGapMs } from './cron-gap.ts';

/** From bad to worse. */
export const severities = ['note', 'warning', 'critical'] as const;
export type Severity = (typeof severities)[number];

export type Finding = {
  severity: Severity;
  /** Stable name of the kind of finding, for programs. */
  kind: FindingKind;
  volume?: string;
  message: string;
  /** What to do. */
  remedy: string;
};

export type FindingKind =
  | 'undeclared'
  | 'not-covered'
  | 'missing'
  | 'no-schedule'
  | 'schedule-too-rare'
  | 'never-backed-up'
  | 'late'
  | 'torn'
  | 'retention-too-short'
  | 'no-drill'
  | 'one-place'
  | 'one-key'
  | 'key-in-volume'
  | 'sensitive-unencrypted'
  | 'label';

/** What is undefined could not be found out, or was not asked for: nothing is concluded from it. */
export type AuditFacts = {
  nowMs: number;
  configuration: Configuration;
  /** Volumes of the project, of the Engine or of the compose file, that no volume of the configuration is. */
  undeclared: readonly { name: string; anonymous: boolean; usedBy: readonly string[]; path: string | undefined }[];
  /** Directories of the host that containers of the project mount. */
  bindMounts: readonly { from: string; usedBy: readonly string[]; path: string }[];
  /** Whether each volume is where the configuration says, by name. */
  present: ReadonlyMap<string, boolean> | undefined;
  /** The newest snapshot of each volume, by name. */
  newest: ReadonlyMap<string, { timeMs: number; consistency: string }> | undefined;
  /** How many keys open the repository. */
  keys: number | undefined;
  /** Directories of volumes, by name, as far as this process reaches them. */
  directories: ReadonlyMap<string, string>;
  /** Whether what holds each volume is encrypted, by name. */
  encrypted: ReadonlyMap<string, boolean>;
  /** Labels that say nothing, a sentence each. */
  labelRemarks: readonly string[];
};

/** The worst first; those of a kind in the order of the configuration. */
export function audit(facts: AuditFacts): Finding[] {
  const { configuration } = facts;
  const findings = [
    ...undeclaredFindings(facts),
    ...configuration.volumes.flatMap((volume) => volumeFindings(facts, volume)),
    ...projectFindings(facts),
    ...facts.labelRemarks.map(
      (message) => ({ severity: 'note', kind: 'label', message, remedy: 'correct the label, or remove it' }) as const,
    ),
  ];
  return findings.sort((a, b) => severities.indexOf(b.severity) - severities.indexOf(a.severity));
}

function undeclaredFindings({ undeclared, bindMounts, configuration }: AuditFacts): Finding[] {
  const declaredDirectories = configuration.volumes.flatMap(({ source }) => (source.kind === 'directory' ? [source.directory] : []));
  return [
    ...undeclared.map(({ name, anonymous, usedBy, path }): Finding => {
      const users = usedBy.length === 0 ? 'nothing uses it now' : `${usedBy.join(', ')} ${usedBy.length === 1 ? 'uses' : 'use'} it`;
      const at = path === undefined ? '' : ` at ${path}`;
      if (anonymous) {
        const message = `the anonymous volume ${name} is in no backup: ${users}${at}`;
        return {
          severity: 'warning',
          kind: 'undeclared',
          volume: name,
          message,
          remedy: 'give it a name in the compose file, and declare it in holdfast.yaml',
        };
      }
      const message = `the volume ${name} is in no backup, because ${configuration.file} does not name it: ${users}${at}`;
      const remedy = `add it to volumes in holdfast.yaml; if it need not be kept safe, label it holdfast.enabled=false`;
      return { severity: 'critical', kind: 'undeclared', volume: name, message, remedy };
    }),
    ...bindMounts
      .filter(({ from }) => !declaredDirectories.some((directory) => isInside(from, directory)))
      .map(({ from, usedBy, path }): Finding => {
        const message = `${from}, which ${usedBy.join(', ')} ${usedBy.length === 1 ? 'has' : 'have'} at ${path}, is a directory of the host and in no backup`;
        return {
          severity: 'warning',
          kind: 'not-covered',
          message,
          remedy: `if it holds data, add a volume with source: {directory: ${from}}`,
        };
      }),
  ];
}

function volumeFindings(facts: AuditFacts, volume: VolumeConfiguration): Finding[] {
  const { name, criticality, objectives, sensitive } = volume;
  const grave: Severity = criticality === 'critical' ? 'critical' : criticality === 'moderate' ? 'warning' : 'note';
  const lighter: Severity = criticality === 'critical' ? 'warning' : 'note';
  const found: Finding[] = [];
  const add = (severity: Severity, kind: FindingKind, message: string, remedy: string) =>
    found.push({ severity, kind, volume: name, message: `volume ${name} ${message}`, remedy });
  if (facts.present?.get(name) === false)
    add(grave, 'missing', 'is declared, and is not there', 'check its source in holdfast.yaml, or remove it there');
  addScheduleFindings(facts.configuration, volume, grave, add);
  const newest = facts.newest?.get(name);
  const rpo = formatDuration(objectives.rpoMs);
  if (facts.newest !== undefined && newest === undefined) add(grave, 'never-backed-up', 'has no snapshot', 'run `holdfast backup`');
  if (newest !== undefined) {
    const ageMs = facts.nowMs - newest.timeMs;
    if (ageMs > objectives.rpoMs) {
      const age = formatDuration(Math.floor(ageMs / 60_000) * 60_000);
      add(
        grave,
        'late',
        `has a newest snapshot that is ${age} old, which is more than its RPO of ${rpo}`,
        'see why its schedule did not run; run `holdfast backup`',
      );
    }
    if (newest.consistency === 'torn')
      add(lighter, 'torn', 'changed while its newest snapshot was read', 'have it paused or stopped for the backup');
  }
  const { last, hourly, daily, weekly, monthly, yearly, within } = volume.retention;
  const counts = [last, hourly, daily, weekly, monthly, yearly];
  if (within === undefined && !counts.includes(-1) && Math.max(...counts) < 2) {
    add(
      lighter,
      'retention-too-short',
      'keeps one snapshot only: what was damaged before it cannot be brought back',
      'keep at least some days: retention: {daily: 7}',
    );
  }
  if (sensitive && facts.encrypted.get(name) === false) {
    add('warning', 'sensitive-unencrypted', 'is sensitive, and on a disk that is not encrypted', 'move it to an encrypted disk (LUKS)');
  }
  return found;
}

function addScheduleFindings(
  { schedules }: Configuration,
  { name, objectives }: VolumeConfiguration,
  grave: Severity,
  add: (severity: Severity, kind: FindingKind, message: string, remedy: string) => void,
): void {
  const own = schedules.filter(({ action }) => action.kind === 'backup' && (action.volumes?.includes(name) ?? true));
  if (own.length === 0)
    return add(grave, 'no-schedule', 'is in no schedule', 'add a schedule to holdfast.yaml: hourly: {cron: "0 * * * *"}');
  const gapMs = Math.min(...own.map(({ at, jitterMs }) => jitterMs + (at.kind === 'cron' ? longestGapMs(at.cron) : at.everyMs)));
  if (gapMs <= objectives.rpoMs) return;
  const gap = Number.isFinite(gapMs) ? `leave ${formatDuration(gapMs)} between two backups` : 'never run';
  add(
    grave,
    'schedule-too-rare',
    `has schedules that ${gap}, which cannot meet its RPO of ${formatDuration(objectives.rpoMs)}`,
    'run a schedule more often, or raise the RPO',
  );
}

function projectFindings({ configuration, keys, directories }: AuditFacts): Finding[] {
  const { repositories, drills, volumes } = configuration;
  const critical = volumes.some(({ criticality }) => criticality === 'critical');
  const severity: Severity = critical ? 'warning' : 'note';
  const found: Finding[] = [];
  if (drills === undefined) {
    found.push({
      severity,
      kind: 'no-drill',
      message: 'no drill rehearses a recovery',
      remedy: 'switch drills on in holdfast.yaml: drills: {cron: "0 4 * * 0"}',
    });
  }
  if (repositories.every(({ url }) => url.startsWith('/'))) {
    const message = 'all repositories are directories of this host: its loss may take volumes and backups alike';
    found.push({ severity, kind: 'one-place', message, remedy: 'add a repository at another place, and a schedule that copies to it' });
  }
  if (keys === 1) {
    const message = 'one key alone opens the repository: without it nobody can read the backups, ever';
    const remedy = 'make a second one that is kept off this host: `holdfast key add --generate FILE`';
    found.push({ severity, kind: 'one-key', message, remedy });
  }
  for (const { passwordFile, name } of repositories) {
    for (const [volume, directory] of directories) {
      if (passwordFile === undefined || !isInside(passwordFile, directory)) continue;
      const message = `the key of repository ${name} lies in volume ${volume}: who loses the volume loses the key`;
      found.push({ severity: 'critical', kind: 'key-in-volume', volume, message, remedy: 'move the key out of the volume' });
    }
  }
  return found;
}

const isInside = (path: string, directory: string): boolean =>
  path === directory || path.startsWith(directory.endsWith('/') ? directory : `${directory}/`);
