import { basename, resolve } from 'node:path';
import type { KnownApp } from '../configuration/configuration.ts';

/** What `holdfast init` found in a folder. Volumes in memory, and those whose label says `holdfast.enabled=false`, are none of it. */
export type DiscoveredProject = {
  /** The folder; absolute. */
  directory: string;
  project: string;
  /** The files that it was read from; absolute. */
  files: string[];
  volumes: DiscoveredVolume[];
  notCovered: NotCovered[];
  /** What could not be followed, for people: one sentence each. */
  remarks: string[];
};

export type DiscoveredVolume = {
  name: string;
  /** Which service mounts it where; empty for a volume that none mounts, and for directories. */
  mounts: { service: string; path: string }[];
  app: KnownApp | undefined;
  /** A label of Holdfast's on it, or on a container that mounts it, declares it: backups hold it without holdfast.yaml. */
  labelled?: boolean;
  /** Undefined when the volume is found by its name, as `PROJECT_NAME`. The directory is as given. */
  source: { docker: string } | { directory: string } | undefined;
};

/** Data that a service mounts and that is no named volume, so that no backup holds it. */
export type NotCovered =
  | { kind: 'bind'; service: string; from: string; path: string }
  | { kind: 'anonymous'; service: string; path: string };

/** As Compose normalises: lower case, only letters, digits, `_` and `-`, beginning with a letter or digit. */
export const composeProjectName = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^-_a-z0-9]/g, '')
    .replace(/^[-_]+/, '');

/** The project that `init --volume NAME=PATH...` describes: plain directories, relative to the folder. */
export function directoryProject(directory: string, volumes: { name: string; directory: string }[]): DiscoveredProject {
  const folder = resolve(directory);
  return {
    directory: folder,
    project: composeProjectName(basename(folder)) || 'project',
    files: [],
    volumes: volumes.map((volume) => ({ name: volume.name, mounts: [], app: undefined, source: { directory: volume.directory } })),
    notCovered: [],
    remarks: [],
  };
}

/** A name that the configuration accepts, as near to the text as can be. @param otherwise when nothing of it can stay. */
export function validName(text: string, otherwise: string): string {
  const name = text.replace(/[^a-zA-Z0-9_.-]/g, '-').replace(/^[^a-zA-Z0-9]+/, '');
  return name === '' ? otherwise : name;
}

/** The name, with a number where it is taken. */
export function freeName(name: string, taken: { has(name: string): boolean }): string {
  let free = name;
  for (let number = 2; taken.has(free); number += 1) free = `${name}-${number}`;
  return free;
}
