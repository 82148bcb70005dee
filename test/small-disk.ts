/** A small disk in memory, for tests of disks that fill up. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { requireRoot, scratch } from './peers.ts';

export type Disk = {
  folder: string;
  /** Leaves so many bytes of room, in whole pages. */
  leave: (bytes: number) => void;
  /** `size=100m`, `ro`. */
  remount: (options: string) => void;
};

/** Mounts one; undefined, and the test is marked as skipped, when this user or this machine may not. It goes with the test. */
export function mountDisk(t: TestContext, size = '64m'): Disk | undefined {
  if (!requireRoot(t)) return undefined;
  let mounted = '';
  // Before the scratch folder goes.
  t.after(() => mounted === '' || execFileSync('umount', [mounted]));
  const folder = join(scratch(t), 'disk');
  mkdirSync(folder);
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'holdfast-test', folder], { encoding: 'utf8' });
  if (status !== 0) {
    t.skip(`a tmpfs cannot be mounted here: ${stderr.trim()}`);
    return undefined;
  }
  mounted = folder;
  const remount = (options: string) => void execFileSync('mount', ['-o', `remount,${options}`, folder]);
  return {
    folder,
    remount,
    leave(bytes) {
      const { blocks, bfree, bsize } = statfsSync(folder);
      remount(`size=${(blocks - bfree) * bsize + bytes}`);
    },
  };
}
