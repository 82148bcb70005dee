/** Volumes whose content is at their directory only while a container uses them. */
import type { PlatformVolume } from './platform.ts';

type Options = Pick<PlatformVolume, 'driver' | 'driverOptions'>;

/**
 * Volumes of NFS, CIFS, tmpfs, of a device or of other drivers are mounted while a container uses them: at other times their directory is
 * empty, and a backup of it would look good and be worth nothing.
 */
export const isMountedOnDemand = ({ driver, driverOptions }: Options): boolean =>
  driver !== 'local' || 'device' in driverOptions || 'type' in driverOptions;

/** Whether its content is gone once no container uses it any more. */
export const isInMemory = ({ driver, driverOptions }: Options): boolean =>
  driver === 'local' && ['tmpfs', 'ramfs'].includes(driverOptions.type ?? '');
