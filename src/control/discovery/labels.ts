/**
 * What labels of volumes and containers say, for those who prefer labels: it completes holdfast.yaml, which has the last word. A label of a
 * container holds for all volumes that it mounts; a volume's own goes before it. Labels are trusted as the Engine is: who may set them may as well
 * remove the volume.
 */
import { isDeepStrictEqual } from 'node:util';
import { parse } from 'yaml';
import { parseSize } from '../../model/quantities.ts';
import type { Inventory, PlatformVolume } from '../../platform/platform.ts';
import { type Configuration, type KnownApp, knownApps, type VolumeConfiguration } from '../configuration/configuration.ts';

const criticalities: readonly string[] = ['critical', 'moderate', 'low'] satisfies VolumeConfiguration['criticality'][];
const apps: readonly string[] = knownApps;

export type Labelled = {
  configuration: Configuration;
  /** Volumes of the project that a label `holdfast.enabled=false` takes out: nobody misses them. By the Engine's name. */
  disabled: ReadonlySet<string>;
  /** What labels have settled. */
  taken: TakenLabel[];
  /** Where a label says something else than holdfast.yaml, a sentence each. */
  conflicts: string[];
  /** Labels that say nothing that Holdfast understands, a sentence each. */
  remarks: string[];
};

/** A key of a volume that a label has settled; `from` is `volume NAME` or `container NAME`, by the Engine's names. */
export type TakenLabel = { volume: string; key: string; value?: string; from: string };

/** @param text holdfast.yaml as it stands in the file: what it says itself, labels don't change. Empty without one. */
export function completeByLabels(configuration: Configuration, text: string, { volumes }: Inventory): Labelled {
  const stated = statedKeys(text);
  const disabled = new Set<string>();
  const findings: Findings = { taken: [], conflicts: [], remarks: [] };
  const completed = new Map(configuration.volumes.map((volume) => [volume.name, volume]));
  for (const volume of volumes) {
    const declared = configuration.volumes.find((candidate) => isVolume(configuration.project, candidate, volume));
    if (declared === undefined && volume.project !== configuration.project) continue;
    const labels = labelsOf(volume);
    if (labels.get('enabled')?.value === 'false') {
      disabled.add(volume.name);
      if (declared !== undefined)
        findings.remarks.push(`volume ${declared.name}: holdfast.yaml names it, so its label holdfast.enabled=false has no effect`);
      continue;
    }
    if (labels.size === 0) continue;
    const base = declared ?? undeclared(configuration, volume);
    completed.set(base.name, withLabels(base, labels, stated.get(base.name) ?? new Set(), findings));
  }
  return { configuration: { ...configuration, volumes: [...completed.values()] }, disabled, ...findings };
}

type Findings = Pick<Labelled, 'taken' | 'conflicts' | 'remarks'>;

/** Whether a volume of the Engine is that of the configuration. */
export function isVolume(project: string, { name, source }: Pick<VolumeConfiguration, 'name' | 'source'>, volume: PlatformVolume): boolean {
  if (source.kind === 'docker') return volume.name === source.volume;
  return source.kind === 'by-name' && ((volume.project === project && volume.key === name) || volume.name === `${project}_${name}`);
}

const prefix = 'holdfast.';
/** Labels that are not of volumes: hooks (`src/control/hooks/labels.ts`), and what Holdfast marks its own containers with. */
const others = /^(hook[.]|helper$)/;

/** Whether anybody has written a label for Holdfast on it. */
export const hasLabels = (labels: Readonly<Record<string, string>>): boolean =>
  Object.keys(labels).some((key) => key.startsWith(prefix) && key !== `${prefix}helper`);

type Labels = ReadonlyMap<string, { value: string; from: string }>;

/** Without `holdfast.`; those of containers first, so that the volume's own replace them. */
function labelsOf({ name, labels, users }: PlatformVolume): Labels {
  const all = [
    ...users.map(({ container }) => ({ labels: container.labels, from: `container ${container.name}` })),
    { labels, from: `volume ${name}` },
  ];
  const found = new Map<string, { value: string; from: string }>();
  for (const { labels: some, from } of all) {
    for (const [label, value] of Object.entries(some)) {
      const key = label.slice(prefix.length);
      if (label.startsWith(prefix) && !others.test(key)) found.set(key, { value: value.trim(), from });
    }
  }
  return found;
}

function undeclared({ project: _, ...configuration }: Configuration, volume: PlatformVolume): VolumeConfiguration {
  const { retention, objectives } = configuration;
  const key = volume.key ?? volume.name;
  const model = configuration.volumes[0] as VolumeConfiguration;
  return {
    ...model,
    name: key,
    path: volume.users[0]?.path,
    sizeBytes: undefined,
    criticality: 'critical',
    cut: 'auto',
    sensitive: false,
    app: undefined,
    source: volume.key === undefined ? { kind: 'docker', volume: volume.name } : { kind: 'by-name' },
    exclude: [],
    excludeIfPresent: [],
    excludeCaches: false,
    oneFileSystem: true,
    retention,
    objectives,
  };
}

function withLabels(
  volume: VolumeConfiguration,
  labels: Labels,
  stated: ReadonlySet<string>,
  { taken, conflicts, remarks }: Findings,
): VolumeConfiguration {
  let completed = volume;
  for (const [key, { value, from }] of labels) {
    if (key === 'enabled' && value === 'true') continue;
    // The plan of a cut takes it from the label, where the file leaves it to that.
    if (key === 'cut' && volume.cut === 'auto') continue;
    const part = readerOf(key)?.(value, volume);
    if (part === undefined) remarks.push(`volume ${volume.name}: ${complaint(key, from)}`);
    else if (!stated.has(key)) {
      completed = { ...completed, ...part };
      taken.push({ volume: volume.name, key, value, from });
    } else if (!isDeepStrictEqual({ ...volume, ...part }, volume)) {
      conflicts.push(`volume ${volume.name}: holdfast.yaml goes before the label holdfast.${key} of ${from}, which says something else`);
    }
  }
  return completed;
}

const complaint = (key: string, from: string): string =>
  readerOf(key) === undefined && key !== 'enabled'
    ? `there is no label holdfast.${key} (${from})`
    : `the label holdfast.${key} (${from}) has a value that is none for it`;

type Reader = (value: string, volume: VolumeConfiguration) => Partial<VolumeConfiguration> | undefined;

/** What each label makes of a volume; undefined for a value that is none. */
const readers: Readonly<Record<string, Reader>> = {
  criticality: (value) => (criticalities.includes(value) ? { criticality: value as VolumeConfiguration['criticality'] } : undefined),
  sensitive: (value) => (/^(true|false)$/.test(value) ? { sensitive: value === 'true' } : undefined),
  app: (value) => (value === 'auto' ? { app: undefined } : apps.includes(value) ? { app: value as KnownApp } : undefined),
  cut: (value) => ({ cut: value as VolumeConfiguration['cut'] }),
  size: (value) => (parseSize(value) === undefined ? undefined : { sizeBytes: parseSize(value) }),
  exclude: (value, volume) => ({ exclude: [...volume.exclude, ...patterns(value).filter((pattern) => !volume.exclude.includes(pattern))] }),
};

/** Names of labels are anybody's: `holdfast.__proto__` has none. */
const readerOf = (key: string): Reader | undefined => (Object.hasOwn(readers, key) ? readers[key] : undefined);

const patterns = (value: string): string[] =>
  value
    .split(/[\n,]/)
    .map((pattern) => pattern.trim())
    .filter((pattern) => pattern !== '');

/** Which keys of which volumes the file has. It has been checked before. */
function statedKeys(text: string): Map<string, Set<string>> {
  const { volumes = {} } = (parse(text) ?? {}) as { volumes?: Record<string, object | null> };
  return new Map(Object.entries(volumes).map(([name, keys]) => [name, new Set(Object.keys(keys ?? {}))]));
}
