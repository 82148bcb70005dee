/** The directory at which this process reaches a volume, if there is one that can be trusted to be that volume. */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isMountedOnDemand } from '../mounted-on-demand.ts';
import type { PlatformContainer, PlatformVolume } from '../platform.ts';

/** How paths of the Engine's host are reached from here. */
export type PathMap = (path: string) => string | undefined;

/** On the Engine's own host, every path is what it is. */
export const onHost: PathMap = (path) => path;
/** With the Engine elsewhere, a directory of the same name is not the volume. */
export const elsewhere: PathMap = () => undefined;

/** In a container: what is mounted into it, the volume itself or a directory above it; the innermost mount decides. */
export function inContainer(own: PlatformContainer, mountPoints: ReadonlyMap<string, string>): PathMap {
  const mounts = own.mounts
    .flatMap(({ kind, from, path }) => {
      const source = kind === 'volume' ? mountPoints.get(from) : kind === 'bind' ? from : undefined;
      return source === undefined ? [] : [{ source, path }];
    })
    .sort((a, b) => b.source.length - a.source.length);
  return (path) => {
    const mount = mounts.find(({ source }) => path === source || path.startsWith(source.endsWith('/') ? source : `${source}/`));
    return mount && join(mount.path, path.slice(mount.source.length));
  };
}

/** Undefined when this process cannot read the volume's directory, or what is there isn't the volume. */
export async function localDirectoryOf(volume: PlatformVolume, map: PathMap): Promise<string | undefined> {
  const directory = volume.mountPoint === undefined ? undefined : map(volume.mountPoint);
  if (directory === undefined || !(await isReadable(directory))) return undefined;
  if (isMountedOnDemand(volume) && !(await isMountPoint(directory))) return undefined;
  return directory;
}

async function isReadable(directory: string): Promise<boolean> {
  try {
    await access(directory, constants.R_OK | constants.X_OK);
    return (await stat(directory)).isDirectory();
  } catch {
    return false;
  }
}

async function isMountPoint(directory: string): Promise<boolean> {
  const [inside, above] = await Promise.all([stat(directory), stat(dirname(directory))]);
  return inside.dev !== above.dev;
}
