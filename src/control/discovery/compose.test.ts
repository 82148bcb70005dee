// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the variables of Compose look like that

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { HoldfastError } from '../../model/errors.ts';
import { discoverCompose } from './compose.ts';
import { interpolate } from './interpolation.ts';

/** A folder of this name with these files, removed after the test. */
async function folderWith(t: TestContext, files: Record<string, string>, name = 'My App'): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), 'holdfast-compose-'));
  t.after(() => rm(parent, { recursive: true }));
  const folder = join(parent, name);
  await mkdir(folder);
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), text);
  }
  return folder;
}

async function discovered(t: TestContext, files: Record<string, string>, environment: Record<string, string> = {}, name?: string) {
  const found = await discoverCompose(await folderWith(t, files, name), environment);
  assert.ok(found);
  return found;
}

test('the reference deployment', async () => {
  const found = await discoverCompose(fileURLToPath(new URL('../../../examples/auto-claude', import.meta.url)), {});
  assert.equal(found?.project, 'auto-claude');
  assert.deepEqual(
    found?.volumes.map(({ name, mounts, app, source }) => [name, mounts, app, source]),
    [
      ['projects-data', [{ service: 'app', path: '/app/projects' }], undefined, undefined],
      ['claude-data', [{ service: 'app', path: '/root/.claude' }], undefined, undefined],
      ['github-data', [{ service: 'app', path: '/root/.config/gh' }], undefined, undefined],
      ['auto-claude-data', [{ service: 'app', path: '/app/.auto-claude' }], undefined, undefined],
      ['redis-data', [{ service: 'redis', path: '/data' }], 'redis', undefined],
    ],
  );
  assert.deepEqual([found?.notCovered, found?.remarks], [[], []]);
});

test('short and long syntax, and what no named volume holds', async (t) => {
  const { volumes, notCovered } = await discovered(t, {
    'compose.yaml': `
services:
  a:
    image: registry.example/library/postgres:16@sha256:00
    volumes:
      - db:/var/lib/postgresql/data:rw
      - ./conf:/etc/conf:ro
      - ~/x:/x
      - /abs:/abs
      - /anonymous
      - /run/docker.sock:/run/docker.sock
      - type: volume
        source: files
        target: /files
        read_only: true
      - { type: volume, target: /nameless }
      - { type: bind, source: ../y, target: /y }
      - { type: tmpfs, target: /tmp }
  b:
    image: alpine
    volumes: [files:/other, undeclared:/u]
volumes:
  db:
  files: {}
  unused:
`,
  });
  assert.deepEqual(
    volumes.map(({ name, mounts, app }) => [name, mounts.map((mount) => `${mount.service}:${mount.path}`), app]),
    [
      ['db', ['a:/var/lib/postgresql/data'], 'postgres'],
      ['files', ['a:/files', 'b:/other'], undefined],
      ['unused', [], undefined],
      ['undeclared', ['b:/u'], undefined],
    ],
  );
  assert.deepEqual(notCovered, [
    { kind: 'bind', service: 'a', from: './conf', path: '/etc/conf' },
    { kind: 'bind', service: 'a', from: '~/x', path: '/x' },
    { kind: 'bind', service: 'a', from: '/abs', path: '/abs' },
    { kind: 'anonymous', service: 'a', path: '/anonymous' },
    { kind: 'anonymous', service: 'a', path: '/nameless' },
    { kind: 'bind', service: 'a', from: '../y', path: '/y' },
  ]);
});

test('volumes with a name of their own are found by it', async (t) => {
  const { volumes } = await discovered(t, {
    'compose.yaml':
      'volumes: { a: { name: "${X:-real}_a" }, b: { external: true }, c: { external: { name: old } }, d: { external: true, name: n } }',
  });
  assert.deepEqual(
    volumes.map((volume) => volume.source),
    [{ docker: 'real_a' }, { docker: 'b' }, { docker: 'old' }, { docker: 'n' }],
  );
});

test('an app is guessed only where it keeps its data', async (t) => {
  const service = (image: string, path: string) => `{ image: ${image}, volumes: ["v:${path}"] }`;
  const guess = async (image: string, path: string) => {
    const { volumes } = await discovered(t, { 'compose.yaml': `services: { s: ${service(image, path)} }` });
    return volumes[0]?.app;
  };
  assert.equal(await guess('redis', '/data'), 'redis');
  assert.equal(await guess('bitnami/postgresql:16', '/bitnami/postgresql'), 'postgres');
  assert.equal(await guess('mariadb:lts', '/var/lib/mysql'), 'mariadb');
  assert.equal(await guess('mysql', '/var/lib/mysql'), 'mysql');
  assert.equal(await guess('mongo:7', '/data/db'), 'mongo');
  assert.equal(await guess('mongo:7', '/data/configdb'), undefined);
  assert.equal(await guess('postgres', '/backups'), undefined);
  assert.equal(await guess('oliver006/redis_exporter', '/data'), undefined);
});

test('the name of the project: environment, .env, name, folder', async (t) => {
  const files = { 'compose.yaml': 'name: named', '.env': 'COMPOSE_PROJECT_NAME=from-env\n' };
  assert.equal((await discovered(t, files, { COMPOSE_PROJECT_NAME: 'given' })).project, 'given');
  assert.equal((await discovered(t, files)).project, 'from-env');
  assert.equal((await discovered(t, { 'compose.yaml': 'name: named' })).project, 'named');
  assert.equal((await discovered(t, { 'compose.yaml': 'services: {}' })).project, 'myapp');
  assert.equal((await discovered(t, { 'compose.yaml': '' }, {}, '_-Ünïted.2')).project, 'nted2');
  assert.equal((await discovered(t, { 'compose.yaml': '' }, {}, 'ü')).project, 'project');
});

test('an override file replaces what is mounted at the same path, and adds the rest', async (t) => {
  const found = await discovered(t, {
    'docker-compose.yml': 'services: { s: { image: redis, volumes: ["a:/data", "b:/b"] } }\nvolumes: { a: , b: { name: x } }',
    'docker-compose.override.yml': 'services: { s: { volumes: ["./here:/b", "c:/c"] } }\nvolumes: { b: { name: y }, c: }',
    'docker-compose.yaml': 'services: { ignored: { volumes: ["z:/z"] } }',
  });
  assert.equal(found.files.length, 2);
  assert.deepEqual(
    found.volumes.map(({ name, mounts, source }) => [name, mounts.map((mount) => mount.path), source]),
    [
      ['a', ['/data'], undefined],
      ['b', [], { docker: 'y' }],
      ['c', ['/c'], undefined],
    ],
  );
  assert.deepEqual(found.notCovered, [{ kind: 'bind', service: 's', from: './here', path: '/b' }]);
});

test('anchors, merge keys and tags of Compose are read', async (t) => {
  const { volumes } = await discovered(t, {
    'compose.yaml': `
x-base: &base
  volumes: [shared:/s]
services:
  a: { <<: *base, image: x }
  b:
    <<: *base
    ports: !reset []
volumes: { shared: }
`,
  });
  assert.deepEqual(volumes[0]?.mounts, [
    { service: 'a', path: '/s' },
    { service: 'b', path: '/s' },
  ]);
});

test('volumes in memory, and those that a label leaves out, are told of and not in the list', async (t) => {
  const { volumes, remarks } = await discovered(t, {
    'compose.yaml': `
services:
  web: { labels: [holdfast.enabled=false], volumes: ["scratch:/scratch", "data:/data", "shm:/shm"] }
volumes:
  scratch:
  data: { labels: { holdfast.enabled: true, holdfast.criticality: critical } }
  gone: { labels: { holdfast.enabled: "false" } }
  shm: { driver_opts: { type: tmpfs, device: tmpfs } }
  disk: { driver_opts: { type: none, o: bind, device: /srv/disk } }
`,
  });
  assert.deepEqual(
    volumes.map(({ name, labelled }) => [name, labelled === true]),
    [
      ['data', true],
      ['disk', false],
    ],
  );
  assert.deepEqual(
    remarks.map((remark) => remark.split(' ').slice(0, 4).join(' ')),
    ['volume shm is in', 'volume scratch is left', 'volume gone is left'],
  );
});

test('what is not followed is remarked upon', async (t) => {
  const { remarks } = await discovered(t, {
    'compose.yaml': 'include: [x.yaml]\nservices: { s: { extends: { file: y.yaml, service: t }, volumes: ["${UNSET}/x:/x"] } }',
  });
  assert.equal(remarks.length, 3);
  assert.match(remarks.join('\n'), /include[\s\S]*service s extends[\s\S]*variable UNSET/);
});

test('no compose file, and a broken one', async (t) => {
  assert.equal(await discoverCompose(await folderWith(t, { 'other.yaml': '' }), {}), undefined);
  await assert.rejects(
    discoverCompose(await folderWith(t, { 'compose.yml': 'services:\n\ta: 1' }), {}),
    (error) => error instanceof HoldfastError && error.code === 'configuration' && /compose\.yml:2:1: a tab/.test(error.message),
  );
  for (const odd of [
    '[]',
    '5',
    'services: 5',
    'services: { a: 5, b: , c: { volumes: 5 }, d: { volumes: [5, "", {}, [a]] } }',
    'volumes: [a]',
    'name: 5',
  ]) {
    assert.deepEqual((await discovered(t, { 'compose.yml': odd })).volumes, [], odd);
  }
});

test('variables, as Compose has them', () => {
  const variables = { A: 'a', EMPTY: '' };
  const unset: string[] = [];
  const expected: Record<string, string> = {
    'x$A-${A}y': 'xa-ay',
    '$$A $${A}': '$A ${A}',
    '${EMPTY:-d}${EMPTY-d}${NONE-d}${NONE:-${A}}': 'dda',
    '${A:+yes}${EMPTY:+no}${EMPTY+yes}${NONE+no}': 'yesyes',
    '${NONE:-${OTHER:-${A}}}/b': 'a/b',
    '${A:?needed}${NONE:?needed}': 'a',
    '$ $1 ${': '$ $1 ${',
    '${A': 'a',
    '${toString}': '',
  };
  for (const [text, value] of Object.entries(expected))
    assert.equal(
      interpolate(text, variables, (name) => unset.push(name)),
      value,
      text,
    );
  assert.deepEqual(unset, ['NONE', 'toString']);
});
