import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../../../test/peers.ts';
import type { PlatformContainer } from '../platform.ts';
import { inContainer } from './local-directory.ts';
import { findOwn, ownContainerId } from './own-container.ts';

const id = 'a1'.repeat(32);

test('a container knows itself by what Docker binds into it, by its cgroup, or by its host name', async (t) => {
  const root = scratch(t);
  assert.equal(await ownContainerId('laptop', root), undefined);
  assert.equal(await ownContainerId('a1a1a1a1a1a1', root), 'a1a1a1a1a1a1');
  writeFileSync(join(root, 'cgroup'), `0::/system.slice/docker-${id}.scope\n`);
  assert.equal(await ownContainerId('laptop', root), id);
  const other = 'b2'.repeat(32);
  writeFileSync(join(root, 'mountinfo'), `999 980 8:1 /var/lib/docker/containers/${other}/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n`);
  assert.equal(await ownContainerId('laptop', root), other);
  const containers = [{ id }, { id: other }] as PlatformContainer[];
  assert.equal(findOwn(containers, 'b2b2b2b2b2b2')?.id, other);
  assert.equal(findOwn(containers, 'c3'), undefined, 'a container of another Engine');
});

test('paths of the host, seen from a container: by the volume itself, or by a directory above it', () => {
  const own = {
    mounts: [
      { kind: 'bind', from: '/var/lib/docker/volumes', path: '/all', readOnly: true },
      { kind: 'volume', from: 'data', path: '/data', readOnly: true },
    ],
  } as unknown as PlatformContainer;
  const map = inContainer(own, new Map([['data', '/var/lib/docker/volumes/data/_data']]));
  assert.equal(map('/var/lib/docker/volumes/data/_data'), '/data');
  assert.equal(map('/var/lib/docker/volumes/other/_data'), '/all/other/_data');
  assert.equal(map('/var/lib/docker/volumes-of-others/x'), undefined);
});
