/** Whether a directory is on an encrypted disk, as far as the kernel tells. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Layers of a disk: LVM on RAID on LUKS is three. */
const mostLayers = 8;

/**
 * Whether what holds a directory is encrypted by dm-crypt, at any layer. Undefined where that can't be told: network file systems, ZFS, btrfs,
 * file systems that encrypt by themselves, disks that a cloud encrypts.
 * @param sys where sysfs is, for tests.
 */
export async function isOnEncryptedDisk(directory: string, sys = '/sys'): Promise<boolean | undefined> {
  const { dev } = await stat(directory, { bigint: true }).catch(() => ({ dev: 0n }));
  const major = Number((dev >> 8n) & 0xfffn);
  const minor = Number((dev & 0xffn) | ((dev >> 12n) & 0xffffff00n));
  return major === 0 ? undefined : isEncrypted(join(sys, 'dev', 'block', `${major}:${minor}`), 0);
}

async function isEncrypted(device: string, layer: number): Promise<boolean | undefined> {
  const uuid = await readFile(join(device, 'dm', 'uuid'), 'utf8').catch(() => '');
  if (uuid.startsWith('CRYPT-')) return true;
  const slaves = layer < mostLayers ? await readdir(join(device, 'slaves')).catch(() => undefined) : undefined;
  // A partition's own folder has none of it; that the kernel doesn't know the device at all is no answer.
  if (slaves === undefined) return (await stat(device).catch(() => undefined)) === undefined ? undefined : false;
  const below = await Promise.all(slaves.map((slave) => isEncrypted(join(device, 'slaves', slave), layer + 1)));
  return below.length > 0 && below.every((encrypted) => encrypted === true);
}
