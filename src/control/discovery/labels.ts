/**
 * What labels of volumes and containers say, for those who prefer labels: it completes holdfast.yaml, which has the last word. A label of a
 * container holds for all volumes that it mounts; a volume's own goes before it.
 */
import { parse } from 'yaml';
import { parseSize } from '../../model/quantities.ts';
import type { Inventory, PlatformVolume } from '../../platform/platform.ts';
import type { Configuration, KnownApp, VolumeConfiguration } from '../configuration/configuration.ts';

const criticalities: readonly string[] = ['critical', 'moderate', 'low'] satisfies VolumeConfiguration['criticality'][];
const apps: readonly string[] = ['redis', 'postgres', 'mysql', 'mariadb', 'mongo'] satisfies KnownApp[];

export type Labelled = {
  configuration: Configuration;
  /** Volumes of the project that a label `holdfast.enabled=false` takes out: nobody misses them. By the Engine's name. */
  disabled: ReadonlySet<string>;
  /** Labels that say nothing that Holdfast understands, a sentence each. */
  remarks: string[];
};

/** @param text holdfast.yaml as it stands in the file: what it says itself, labels don't change. */
export function completeByLabels(configuration: Configuration, text: string, { volumes }: Inventory): Labelled {
  const stated = statedKeys(text);
  const disabled = new Set<string>();
  const remarks: string[] = [];
  const completed = new Map(configuration.volumes.map((volume) => [volume.name, volume]));
  for (const volume of volumes) {
    const declared = configuration.volumes.find((candidate) => isVolume(configuration.project, candidate, volume));
    if (declared === undefined && volume.project !== configuration.project) continue;
    const labels = labelsOf(volume);
    if (labels.enabled === 'false') {
      disabled.add(volume.name);
      if (declared !== undefined)
        remarks.push(`volume ${declared.name}: holdfast.yaml names it, so its label holdfast.enabled=false has no effect`);
      continue;
    }
    if (Object.keys(labels).length === 0) continue;
    const base = declared ?? undeclared(configuration, volume);
    completed.set(base.name, withLabels(base, labels, stated.get(base.name) ?? new Set(), remarks));
  }
  return { configuration: { ...configuration, volumes: [...completed.values()] }, disabled, remarks };
}

/** Whether a volume of the Engine is that of the configuration. */
export function isVolume(project: string, { name, source }: Pick<VolumeConfiguration, 'name' | 'source'>, volume: PlatformVolume): boolean {
  if (source.kind === 'docker') return volume.name === source.volume;
  return source.kind === 'by-name' && ((volume.project === project && volume.key === name) || volume.name === `${project}_${name}`);
}

type Labels = Readonly<Record<string, string>>;

/** Without `holdfast.`; those of containers first, so that the volume's own replace them. */
function labelsOf({ labels, users }: PlatformVolume): Labels {
  const all = [...users.map(({ container }) => container.labels), labels].flatMap((some) => Object.entries(some));
  return Object.fromEntries(
    all.filter(([key]) => key.startsWith('holdfast.')).map(([key, value]) => [key.slice('holdfast.'.length), value.trim()]),
  );
}

function undeclared({ project, ...configuration }: Configuration, volume: PlatformVolume): VolumeConfiguration {
  const { retention, objectives } = configuration;
  const key = volume.key ?? volume.name;
  const model = configuration.volumes[0] as VolumeConfiguration;
  return {
    ...model,
    name: key,
    path: volume.users[0]?.path,
    sizeBytes: undefined,
    criticality: 'critical',
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

function withLabels(volume: VolumeConfiguration, labels: Labels, stated: ReadonlySet<string>, remarks: string[]): VolumeConfiguration {
  const completed = { ...volume };
  const set: Record<string, (value: string) => boolean> = {
    criticality: (value) => criticalities.includes(value) && assign({ criticality: value as VolumeConfiguration['criticality'] }),
    sensitive: (value) => /^(true|false)$/.test(value) && assign({ sensitive: value === 'true' }),
    app: (value) => apps.includes(value) && assign({ app: value as KnownApp }),
    size: (value) => parseSize(value) !== undefined && assign({ sizeBytes: parseSize(value) }),
    exclude: (value) => assign({ exclude: [...volume.exclude, ...patterns(value)] }),
    enabled: (value) => value === 'true',
  };
  const assign = (part: Partial<VolumeConfiguration>) => Boolean(Object.assign(completed, part));
  for (const [key, value] of Object.entries(labels)) {
    // Other labels (of hooks, helpers, restores) are others' business.
    if (stated.has(key) || set[key] === undefined) continue;
    if (!set[key](value)) remarks.push(`volume ${volume.name}: the label holdfast.${key} has a value that is none for it`);
  }
  return completed;
}

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
