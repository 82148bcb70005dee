/**
 * What labels make of a project, as the Engine has told it last. The daemon keeps it: labels are gone while the Engine does not answer, and what
 * they have declared is to be safe all the same.
 */
import type { Configuration, VolumeConfiguration } from '../configuration/configuration.ts';

/** Under this name the daemon keeps {@link LabelledVolumes}. */
export const labelledFact = 'labelled volumes';

/** Volumes that labels declare or complete; all others are as holdfast.yaml has them. */
export type LabelledVolumes = LabelledVolume[];
type LabelledVolume = {
  volume: VolumeConfiguration;
  /** JSON of what holdfast.yaml says of it, which the label completed; undefined of a volume that only labels declare. */
  written: string | undefined;
};

/** What of the volumes of a project comes of labels: their difference from what is written. Pure. */
export function labelledOf(written: readonly VolumeConfiguration[], completed: readonly VolumeConfiguration[]): LabelledVolumes {
  const texts = new Map(written.map((volume) => [volume.name, JSON.stringify(volume)]));
  return completed
    .filter((volume) => JSON.stringify(volume) !== texts.get(volume.name))
    .map((volume) => ({ volume, written: texts.get(volume.name) }));
}

/**
 * A project as holdfast.yaml and what is known of labels make it. What the file has changed since, and what it has come to name itself, is as the
 * file says. Pure.
 */
export function withLabelled(configuration: Configuration, known: LabelledVolumes | undefined): Configuration {
  if (known === undefined || known.length === 0) return configuration;
  const byName = new Map(known.map((one) => [one.volume.name, one]));
  const { retention, objectives } = configuration;
  const declared = configuration.volumes.map((volume) => {
    const one = byName.get(volume.name);
    return one?.written !== undefined && one.written === JSON.stringify(volume) ? one.volume : volume;
  });
  const names = new Set(configuration.volumes.map(({ name }) => name));
  const others = namesDeclaredBy(known).filter((name) => !names.has(name));
  // They have the project's retention and objectives, which may have changed since.
  const added = others.map((name) => ({ ...(byName.get(name) as LabelledVolume).volume, retention, objectives }));
  return { ...configuration, volumes: [...declared, ...added] };
}

/** Volumes that only labels declare. */
export const namesDeclaredBy = (known: LabelledVolumes | undefined): string[] =>
  (known ?? []).flatMap(({ volume, written }) => (written === undefined ? volume.name : []));

/** What is told of them where no Engine answers. */
export const silentEngine = (names: readonly string[]): string =>
  `no Docker Engine answers: volumes that only labels declare stay as they were last known: ${names.join(', ')}`;

/** Whether an Engine's labels can complete a project: one of directories alone has nothing to do with any. */
export const mayHaveLabels = ({ volumes }: Pick<Configuration, 'volumes'>): boolean =>
  volumes.some(({ source: { kind } }) => kind === 'by-name' || kind === 'docker');
