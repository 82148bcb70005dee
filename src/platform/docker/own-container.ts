/** Whether this process runs in a container, and in which. */
import { readFile } from 'node:fs/promises';
import type { PlatformContainer } from '../platform.ts';

const containerId = /[0-9a-f]{64}/;

/**
 * The id of the container that this process runs in, or what may be its beginning (the host name); undefined where nothing speaks for a
 * container.
 */
export async function ownContainerId(hostname: string, root = '/proc/self'): Promise<string | undefined> {
  // Docker binds these files of its own into every container; the cgroup's name is gone where cgroups have namespaces.
  const mounts = await readOptional(`${root}/mountinfo`);
  const bound = mounts
    .split('\n')
    .filter((line) => / \/etc\/(hostname|hosts|resolv\.conf) /.test(line))
    .map((line) => /\/(?:containers|overlay-containers)\/([0-9a-f]{64})\//.exec(line)?.[1])
    .find((id) => id !== undefined);
  if (bound !== undefined) return bound;
  const cgroup = (await readOptional(`${root}/cgroup`))
    .split('\n')
    .map((line) => /(?:docker|libpod|containers)/.test(line) && containerId.exec(line)?.[0]);
  return cgroup.find((id) => typeof id === 'string') || (/^[0-9a-f]{12}$/.test(hostname) ? hostname : undefined);
}

/** Among those that the Engine knows; undefined when it is none of them: then this process is on a host, or in a container of another one. */
export const findOwn = (containers: readonly PlatformContainer[], id: string | undefined): PlatformContainer | undefined =>
  id === undefined ? undefined : containers.find((container) => container.id.startsWith(id));

async function readOptional(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}
