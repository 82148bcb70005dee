import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { bindMountsOf, withNamedVolumes } from './bind-mounts.ts';

const text = `# The shop
services:
  web:   # in front
    image: busybox
    volumes:
      - ./uploads:/uploads   # pictures
      - "./quoted:/quoted:ro,z"
      - cache:/cache
      - ./odd:/odd:rshared
      - type: bind
        source: './long'
        target: /long
  db: {image: busybox, volumes: ['./db:/data']}
volumes:
    # what can be made again
    cache: {}
`;

test('bind mounts are found, with what hinders', () => {
  assert.deepEqual(
    bindMountsOf(text, 'file').map(({ service, from, path, readOnly, hindrance }) => [
      service,
      from,
      path,
      readOnly,
      hindrance !== undefined,
    ]),
    [
      ['web', './uploads', '/uploads', false, false],
      ['web', './quoted', '/quoted', true, false],
      ['web', './odd', '/odd', false, true],
      ['web', './long', '/long', false, false],
      ['db', './db', '/data', false, false],
    ],
  );
});

test('only what must change does', () => {
  const changed = withNamedVolumes(text, 'file', ({ from }) => from.replace('./', 'v-'), ['v-uploads', 'cache', 'v-db']);
  const expected = text
    .replace('./uploads:/', 'v-uploads:/')
    .replace('"./quoted:', '"v-quoted:')
    .replace('type: bind', 'type: volume')
    .replace("'./long'", "'v-long'")
    .replace("'./db:", "'v-db:")
    .replace('    cache: {}', '    v-uploads:\n    v-db:\n    cache: {}');
  assert.equal(changed, expected);
  assert.deepEqual(Object.keys(parse(changed).volumes), ['v-uploads', 'v-db', 'cache']);
});

test('volumes are declared in whatever layout there is', () => {
  for (const before of ['', 'volumes:\n', 'volumes:', 'volumes: {}\n', 'volumes: {a: {}}\n', 'volumes:\n  a:\n']) {
    const file = `services:\n  web: {volumes: ["./x:/x"]}\n${before}`;
    const changed = parse(withNamedVolumes(file, 'file', () => 'x', ['x']));
    assert.ok('x' in changed.volumes, before);
    assert.equal('a' in changed.volumes, before.includes('a'), before);
    assert.deepEqual(changed.services.web.volumes, ['x:/x']);
  }
});
