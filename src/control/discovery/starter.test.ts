import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { anyText, fc, runs } from '../../../test/properties.ts';
import { HoldfastError } from '../../model/errors.ts';
import { parseConfiguration } from '../configuration/parse.ts';
import { discoverCompose } from './compose.ts';
import { type DiscoveredProject, directoryProject } from './discovered.ts';
import { starterConfiguration } from './starter.ts';

const load = (found: DiscoveredProject, text: string) => parseConfiguration(text, `${found.directory}/holdfast.yaml`);

const volume = (name: string, path: string, source?: { docker: string } | { directory: string }) => ({
  name,
  mounts: path === '' ? [] : [{ service: 's', path }],
  app: undefined,
  source,
});

const project = (volumes: DiscoveredProject['volumes']): DiscoveredProject => ({
  directory: '/srv/app',
  project: 'app',
  files: [],
  volumes,
  notCovered: [],
  remarks: [],
});

test('the reference deployment: what the example says, as far as it can be guessed', async () => {
  const found = await discoverCompose(fileURLToPath(new URL('../../../examples/auto-claude', import.meta.url)), {});
  assert.ok(found);
  const text = starterConfiguration(found);
  const configuration = load(found, text);
  assert.equal(configuration.project, 'auto-claude');
  assert.deepEqual(
    configuration.volumes.map(({ name, path, sensitive, app, source }) => [name, path, sensitive, app, source.kind]),
    [
      ['projects-data', '/app/projects', false, undefined, 'by-name'],
      ['claude-data', '/root/.claude', true, undefined, 'by-name'],
      ['github-data', '/root/.config/gh', true, undefined, 'by-name'],
      ['auto-claude-data', '/app/.auto-claude', false, undefined, 'by-name'],
      ['redis-data', '/data', false, 'redis', 'by-name'],
    ],
  );
  assert.equal(configuration.repositories[0]?.url, `${found.directory}/holdfast-repository`);
  assert.equal(configuration.repositories[0]?.passwordFile, `${found.directory}/holdfast.key`);
  assert.deepEqual(
    configuration.schedules.map((schedule) => [schedule.at, schedule.action]),
    [
      [
        { kind: 'cron', cron: '0 * * * *', timeZone: undefined },
        { kind: 'backup', to: 'local' },
      ],
    ],
  );
  for (const part of ['mounted by app', 'guess', 'Keep a copy of the password file elsewhere']) assert.ok(text.includes(part), part);
});

test('places of credentials are guessed sensitive, rebuildable ones moderate', () => {
  const sensitive = (name: string, path: string) => {
    const found = project([volume(name, path)]);
    return load(found, starterConfiguration(found)).volumes[0]?.sensitive;
  };
  for (const path of ['/root/.ssh', '/home/me/.aws', '/root/.config/gh/', '/root/.gnupg', '/x/.kube/cache'])
    assert.equal(sensitive('v', path), true, path);
  for (const path of ['/root', '/data', '/app/.awsome', '/monkeys', '/app/.config']) assert.equal(sensitive('v', path), false, path);
  assert.equal(sensitive('vault-data', '/data'), true);
  assert.equal(sensitive('ssh_keys', '/data'), true);
  const found = project([volume('build-cache', '/c'), volume('data', '/d')]);
  assert.deepEqual(
    load(found, starterConfiguration(found)).volumes.map((each) => each.criticality),
    ['moderate', 'critical'],
  );
});

test('what is not covered, and what could not be followed, is said', () => {
  const found = {
    ...project([volume('a', '/a'), volume('odd', '/b', { docker: 'no/such' })]),
    notCovered: [
      { kind: 'bind', service: 's', from: './x\n: evil', path: '/x' },
      { kind: 'anonymous', service: 's', path: '/y' },
    ] satisfies DiscoveredProject['notCovered'],
    remarks: ['include is not followed'],
  };
  const text = starterConfiguration(found);
  const lines = text.split('\n');
  assert.ok(lines.some((line) => line.startsWith('# - service s: /x is bound to ./x\\n: evil')));
  for (const part of ['/y is an anonymous volume', 'include is not followed', 'volume odd']) assert.ok(text.includes(part), part);
  assert.deepEqual(
    load(found, text).volumes.map((each) => each.name),
    ['a'],
  );
});

test('directories: the repository stays outside of them', () => {
  const url = (directory: string) => {
    const found = directoryProject('/srv/My App', [{ name: 'v', directory }]);
    const { repositories, volumes, project } = load(found, starterConfiguration(found));
    assert.equal(project, 'myapp');
    assert.equal(volumes[0]?.source.kind, 'directory');
    return repositories[0]?.url;
  };
  assert.equal(url('./data'), '/srv/My App/holdfast-repository');
  assert.equal(url('.'), '/srv/myapp-holdfast-repository');
  assert.equal(url('/srv'), '/var/backups/holdfast/myapp');
  assert.throws(
    () => url('/'),
    (error) => error instanceof HoldfastError && error.code === 'usage',
  );
  const found = directoryProject('/srv/x', [{ name: 'v', directory: '/srv' }]);
  assert.equal(load(found, starterConfiguration(found, { repository: 'sftp:a@b:/c' })).repositories[0]?.url, 'sftp:a@b:/c');
});

test('with nothing found there is an example to edit', () => {
  const found = project([]);
  assert.deepEqual(load(found, starterConfiguration(found)).volumes[0]?.source, { kind: 'directory', directory: '/srv/app/data' });
});

test('whatever is discovered, the starter loads and keeps every volume', () => {
  const text = fc.oneof(
    anyText(),
    fc.string(),
    fc.constantFrom(
      'null',
      'true',
      '1e3',
      '007',
      '__proto__',
      'constructor',
      '- a',
      'a: b',
      '"',
      "'",
      '#',
      '\n',
      '\r',
      '~',
      '/data',
      '.ssh',
      '\u2028',
      '\ud800',
    ),
  );
  const dockerName = fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,12}$/);
  const discovered = fc.record({
    directory: fc.constant('/srv/app'),
    project: text,
    files: fc.constant<string[]>([]),
    volumes: fc.array(
      fc.record({
        name: text,
        mounts: fc.array(fc.record({ service: text, path: text }), { maxLength: 3 }),
        app: fc.constantFrom(undefined, 'redis' as const, 'postgres' as const),
        source: fc.oneof(
          fc.constant(undefined),
          fc.record({ docker: dockerName }),
          fc.record({ directory: text.map((name) => `./data/${name.replaceAll('/', '').replaceAll('..', '')}`) }),
        ),
      }),
      { maxLength: 5 },
    ),
    notCovered: fc.array(
      fc.oneof(
        fc.record({ kind: fc.constant('bind' as const), service: text, from: text, path: text }),
        fc.record({ kind: fc.constant('anonymous' as const), service: text, path: text }),
      ),
      { maxLength: 3 },
    ),
    remarks: fc.array(text, { maxLength: 2 }),
  });
  fc.assert(
    fc.property(discovered, (found) => {
      const configuration = load(found, starterConfiguration(found));
      assert.equal(configuration.volumes.length, Math.max(1, found.volumes.length));
      const paths = new Set(configuration.volumes.map((each) => each.path));
      for (const { mounts } of found.volumes) {
        const first = mounts.find((mount) => mount.path !== '')?.path;
        assert.ok(paths.has(first), `${first}`);
      }
    }),
    { numRuns: runs(150) },
  );
});
