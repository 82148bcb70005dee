import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HoldfastError } from '../../model/errors.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import { findLayout, type Layout } from './archive-layout.ts';

const volumes = [
  { name: 'projects-data', platformName: 'shop_projects-data', path: '/app/projects' },
  { name: 'redis-data', platformName: 'redis', path: '/data' },
];

/** The layout of an archive with these paths (directories end with a slash), as `layout VOLUME=ROOT... -LEFT-OUT...`. */
function layoutOf(
  paths: string[],
  options: { layout?: Layout; volume?: string; fileName?: string; volumes?: typeof volumes } = {},
): string {
  const held = new Map<string, { directories: Set<RawString>; others: RawString[] }>([['', { directories: new Set(), others: [] }]]);
  for (const path of paths) {
    const parts = path.split('/');
    const last = parts.pop() as RawString;
    let at = '';
    for (const part of parts) {
      held.get(at)?.directories.add(part as RawString);
      at = at === '' ? part : `${at}/${part}`;
      if (!held.has(at)) held.set(at, { directories: new Set(), others: [] });
    }
    if (last !== '') held.get(at)?.others.push(last);
  }
  try {
    const found = findLayout({
      layout: 'auto',
      volume: undefined,
      volumes,
      fileName: undefined,
      ignored: new Set(['holdfast-export.json']),
      lookUp: (path) => {
        const directory = held.get(path);
        return directory && { directories: [...directory.directories], others: directory.others };
      },
      ...options,
    });
    const names = found.volumes.map(({ volume, root, declared }) => `${volume}${declared ? '' : '?'}=${root}`);
    return [found.layout, ...names, ...found.leftOut.map((path) => `-${path}`)].join(' ');
  } catch (error) {
    if (error instanceof HoldfastError) return error.code;
    throw error;
  }
}

test('volumes below their names, as scripts and other tools mount them', () => {
  assert.equal(layoutOf(['projects-data/a', 'redis-data/dump.rdb']), 'volumes projects-data=projects-data redis-data=redis-data');
  assert.equal(layoutOf(['source/projects-data/', 'source/other/x']), 'volumes projects-data=source/projects-data other?=source/other');
  assert.equal(layoutOf(['backup/redis/dump.rdb', 'backup/note']), 'volumes redis-data=backup/redis -backup/note');
  assert.equal(
    layoutOf([
      'var/lib/docker/volumes/shop_projects-data/_data/a',
      'var/lib/docker/volumes/shop_projects-data/opts.json',
      'var/lib/docker/volumes/metadata.db',
    ]),
    'volumes projects-data=var/lib/docker/volumes/shop_projects-data/_data -var/lib/docker/volumes/metadata.db',
  );
  assert.equal(layoutOf(['holdfast-export.json', 'gone/a']), 'volumes gone?=gone');
});

test('one volume of several', () => {
  assert.equal(layoutOf(['projects-data/a', 'redis-data/b'], { volume: 'redis-data' }), 'volumes redis-data=redis-data -projects-data');
  assert.equal(layoutOf(['a/x', 'b/y'], { layout: 'volumes', volume: 'c' }), 'unknown-volume');
});

test('two directories that mean the same volume: the first is taken, the other told of', () => {
  assert.equal(layoutOf(['projects-data/a', 'shop_projects-data/b']), 'volumes projects-data=projects-data -shop_projects-data');
});

test('a single volume is known by option, by the name of the file, or because there is no other', () => {
  assert.equal(layoutOf(['a', 'b/c'], { volume: 'redis-data' }), 'single redis-data=');
  assert.equal(layoutOf(['a', 'b/c'], { fileName: '2026-redis-data.tgz' }), 'single redis-data=');
  assert.equal(layoutOf(['a', 'b/c'], { volumes: volumes.slice(1) }), 'single redis-data=');
  assert.equal(layoutOf(['source/a', 'source/b/c'], { volume: 'redis-data' }), 'single redis-data=source');
  assert.equal(layoutOf(['source/a'], { volume: 'redis-data', layout: 'single' }), 'single redis-data=');
  assert.equal(layoutOf(['a', 'b/c']), 'usage');
  assert.equal(layoutOf(['a', 'b/c'], { volume: 'redis-date' }), 'unknown-volume');
  assert.equal(layoutOf([], { volume: 'redis-data' }), 'single redis-data=');
});

test('a container: volumes are where they are mounted', () => {
  const system = ['.dockerenv', 'etc/passwd', 'usr/', 'proc/', 'sys/'];
  assert.equal(layoutOf([...system, 'app/projects/a', 'data/dump.rdb']), 'container projects-data=app/projects redis-data=data');
  assert.equal(layoutOf([...system, 'app/projects/a'], { volume: 'redis-data' }), 'usage');
  assert.equal(layoutOf(system, { volume: 'redis-data', layout: 'single' }), 'single redis-data=');
  assert.equal(layoutOf([...system], { layout: 'container' }), 'usage');
  // One path of a container, as `docker cp` and `tar czf - /data` have it.
  assert.equal(layoutOf(['data/dump.rdb']), 'container redis-data=data');
  assert.equal(layoutOf(['data/dump.rdb', 'more']), 'usage');
});
