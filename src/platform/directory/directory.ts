/** Volumes that are directories of this host: given as such, or kept by Docker's `local` driver where it always keeps them. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError } from '../../model/errors.ts';
import type { LocatedVolume, Platform, VolumeReference } from '../platform.ts';

export type DirectoryPlatformOptions = {
  /** Docker's data root. Default /var/lib/docker. */
  dockerDataRoot?: string;
};

export function createDirectoryPlatform({ dockerDataRoot = '/var/lib/docker' }: DirectoryPlatformOptions = {}): Platform {
  const dockerDirectory = (volume: string) => join(dockerDataRoot, 'volumes', volume, '_data');

  async function locateInDocker(name: string, volume: string): Promise<LocatedVolume> {
    const directory = dockerDirectory(volume);
    if (await isDirectory(directory)) return { name, directory, exists: true };
    throw new HoldfastError(
      'volume-missing',
      `volume ${name}: there is no Docker volume ${volume} on this host (looked for ${directory})`,
      {
        volume: name,
        file: directory,
        remedy: `give the volume a source in holdfast.yaml: source: {directory: /path/to/${name}}`,
      },
    );
  }

  const platform: Platform = {
    async locate({ name, project, source }: VolumeReference) {
      if (source.kind === 'directory') return { name, directory: source.directory, exists: await isDirectory(source.directory) };
      if (source.kind === 'docker') return locateInDocker(name, source.volume);
      if (source.kind === 'by-name') return locateInDocker(name, `${project}_${name}`);
      throw new HoldfastError('unsupported', `volume ${name}: this version cannot read Kubernetes volumes`, {
        volume: name,
        remedy: 'mount it, and give the volume a source in holdfast.yaml: source: {directory: /path}',
      });
    },

    async open(reference) {
      const { directory } = await platform.locate(reference);
      return { way: 'directory', directory };
    },
  };
  return platform;
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}
