/** Podman's service has Docker's API, and not all of its behaviour. */
import { HoldfastError } from '../../model/errors.ts';
import type { DockerEngine } from './engine.ts';

/** An Engine that doesn't say (a proxy in front of it) is taken for Docker's. */
export async function isPodman(engine: DockerEngine): Promise<boolean> {
  try {
    const version = await engine.call('ask the Engine for its version', () => engine.docker.version());
    return (version.Components ?? []).some(({ Name: name }) => /podman/i.test(name));
  } catch (error) {
    if (error instanceof HoldfastError) return false;
    throw error;
  }
}

/**
 * Podman's archives give all files to the container's user, and leave out a folder `dev` where it is rootless (`copyToArchive` in
 * libpod/container_copy_linux.go): no way to read a volume, nor to write one.
 */
export const podmanArchives = (volume: string): HoldfastError =>
  new HoldfastError('volume-unreadable', `the directory of the volume ${volume} cannot be reached, and Podman's archives lose owners`, {
    remedy: "run Holdfast on Podman's host, as root; for rootless Podman as its user, in `podman unshare`",
  });
