import assert from 'node:assert/strict';
import { chmod, chown, lchown, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { anyText, fc, runs } from '../../../test/properties.ts';
import { HoldfastError } from '../../model/errors.ts';
import { findConfiguration } from './find.ts';
import { configurationJsonSchema } from './json-schema.ts';
import { loadConfiguration } from './load.ts';
import { parseConfiguration } from './parse.ts';

const file = '/srv/app/holdfast.yaml';
const parse = (text: string) => parseConfiguration(text, file);

/** The mistakes of a text, each as `LINE:COLUMN: what`. */
function mistakes(text: string): string[] {
  try {
    parse(text);
  } catch (error) {
    assert.ok(error instanceof HoldfastError, String(error));
    assert.equal(error.code, 'configuration');
    assert.equal(error.exitCode, 2);
    const lines = error.message.split('\n');
    if (lines.length > 1) assert.equal(lines.shift(), `${lines.length} mistakes:`);
    return lines.map((line) => {
      assert.ok(line.startsWith(`${file}:`), line);
      return line.slice(file.length + 1);
    });
  }
  return [];
}

/** Asserts that there is exactly this one mistake, at this place, and that it says all of these things. */
function onlyMistake(text: string, place: string, ...parts: string[]): void {
  const found = mistakes(text);
  assert.equal(found.length, 1, found.join('\n'));
  assert.ok(found[0]?.startsWith(`${place}: `), `${found[0]} is not at ${place}`);
  for (const part of parts) assert.ok(found[0]?.includes(part), `${found[0]} does not say ${part}`);
}

/** A repository without settings of its storage. */
const plain = {
  options: {},
  limits: { uploadBytesPerSecond: undefined, downloadBytesPerSecond: undefined },
  maintenance: true,
  cache: true,
};

const cron = (text: string) => ({ at: { kind: 'cron', cron: text, timeZone: undefined }, jitterMs: 0 });
const effort = (priority: number) => ({ priority, deadlineMs: 12 * 3_600_000, attempts: 3 });

test('the reference deployment, every value resolved', async () => {
  const reference = new URL('../../../examples/auto-claude/holdfast.yaml', import.meta.url);
  const configuration = parse(await readFile(reference, 'utf8'));
  assert.equal(configuration.project, 'auto-claude');
  assert.equal(configuration.directory, '/srv/app');
  const [projects, claude, , , redis] = configuration.volumes;
  assert.deepEqual(
    configuration.volumes.map((volume) => volume.name),
    ['projects-data', 'claude-data', 'github-data', 'auto-claude-data', 'redis-data'],
  );
  assert.deepEqual(
    [projects?.path, projects?.sizeBytes, projects?.criticality, projects?.sensitive],
    ['/app/projects', 53_687_091_200, 'critical', false],
  );
  assert.deepEqual([claude?.sensitive, redis?.criticality, redis?.app], [true, 'moderate', 'redis']);
  assert.deepEqual(configuration.repositories, [
    { name: 'local', url: '/srv/app/holdfast-repository', passwordFile: '/srv/app/holdfast.key', passwordCommand: undefined, ...plain },
    {
      name: 'offsite',
      url: 's3://auto-claude-backups/prod?region=eu-west-1',
      passwordFile: '/srv/app/holdfast.key',
      passwordCommand: undefined,
      ...plain,
    },
  ]);
  assert.deepEqual(configuration.schedules, [
    { name: 'hourly', ...cron('0 * * * *'), ...effort(6), action: { kind: 'backup', to: 'local' } },
    { name: 'offsite', ...cron('30 2 * * *'), ...effort(5), action: { kind: 'copy', from: 'local', to: 'offsite' } },
  ]);
  assert.deepEqual(configuration.retention, {
    last: 1,
    hourly: 24,
    daily: 7,
    weekly: 4,
    monthly: 12,
    yearly: 0,
    within: undefined,
    withinHourly: undefined,
    withinDaily: undefined,
    withinWeekly: undefined,
    withinMonthly: undefined,
    withinYearly: undefined,
    manualMs: 90 * 86_400_000,
    tags: [],
    brake: { enabled: true, shrinkPercent: 50, churnPercent: 90, unreadable: 0, torn: true },
  });
  assert.deepEqual(configuration.objectives, { rpoMs: 3_600_000, rtoMs: 4 * 3_600_000 });
  assert.deepEqual(configuration.drills, { ...cron('0 4 * * 0'), ...effort(3) });
});

test('one volume is enough: everything else has a default', () => {
  const configuration = parse('volumes: { data: }');
  assert.equal(configuration.project, 'app');
  assert.deepEqual(configuration.volumes, [
    {
      name: 'data',
      path: undefined,
      sizeBytes: undefined,
      criticality: 'critical',
      sensitive: false,
      app: undefined,
      cut: 'auto',
      source: { kind: 'by-name' },
      exclude: [],
      excludeIfPresent: [],
      excludeCaches: false,
      oneFileSystem: true,
      retention: configuration.retention,
      objectives: configuration.objectives,
    },
  ]);
  assert.equal(configuration.retention.daily, 7);
  assert.deepEqual(configuration.objectives, { rpoMs: 3_600_000, rtoMs: 14_400_000 });
  assert.deepEqual(configuration.repositories, [
    { name: 'local', url: '/srv/app/holdfast-repository', passwordFile: '/srv/app/holdfast.key', passwordCommand: undefined, ...plain },
  ]);
  assert.deepEqual(configuration.schedules, [
    { name: 'hourly', ...cron('0 * * * *'), ...effort(6), action: { kind: 'backup', to: 'local' } },
  ]);
  assert.deepEqual(configuration.drills, { ...cron('0 4 * * 0'), ...effort(3) });
});

test('schedules and drills can be switched off', () => {
  const configuration = parse('volumes: { data: }\nschedules: {}\ndrills: { enabled: false }');
  assert.deepEqual(configuration.schedules, []);
  assert.equal(configuration.drills, undefined);
});

test('a volume overrides the project key by key, and adds to its exclusions', () => {
  const { volumes } = parse(`
exclude: [node_modules]
excludeCaches: true
oneFileSystem: false
retention: { daily: 30, within: 2d }
objectives: { rto: 2h }
volumes:
  own:
    exclude: ["!node_modules"]
    excludeIfPresent: [.nobackup]
    excludeCaches: false
    oneFileSystem: true
    retention: { daily: 3, tags: [release] }
    objectives: { rpo: 15m }
  plain:`);
  const [own, plain] = volumes;
  assert.deepEqual(own?.exclude, ['node_modules', '!node_modules']);
  assert.deepEqual([own?.excludeIfPresent, own?.excludeCaches, own?.oneFileSystem], [['.nobackup'], false, true]);
  assert.deepEqual([plain?.exclude, plain?.excludeCaches, plain?.oneFileSystem], [['node_modules'], true, false]);
  assert.deepEqual([own?.retention.daily, own?.retention.within?.days, own?.retention.tags], [3, 2, ['release']]);
  assert.deepEqual([plain?.retention.daily, plain?.retention.tags], [30, []]);
  assert.deepEqual(own?.objectives, { rpoMs: 900_000, rtoMs: 7_200_000 });
});

test('retention counts, spans and the brake; a volume overrides the brake key by key', () => {
  const { retention, volumes } = parse(`
retention: { hourly: unlimited, daily: -1, withinMonthly: 1y6mo, tags: ['a,b'], brake: { shrink: off, unreadable: 3 } }
volumes:
  own: { retention: { brake: { torn: false, shrink: 20 } } }
  calm: { retention: { brake: { enabled: false } } }`);
  assert.deepEqual([retention.hourly, retention.daily, retention.weekly], [-1, -1, 4]);
  assert.deepEqual(retention.withinMonthly, { years: 1, months: 6, days: 0, hours: 0 });
  const brake = { enabled: true, shrinkPercent: undefined, churnPercent: 90, unreadable: 3, torn: true };
  assert.deepEqual(retention.brake, brake);
  assert.deepEqual(volumes[0]?.retention.brake, { ...brake, shrinkPercent: 20, torn: false });
  assert.deepEqual(volumes[1]?.retention.brake, { ...brake, enabled: false });
  const only = { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, withinYearly: '2y' };
  parse(`volumes: { a: }\nretention: ${JSON.stringify(only)}`);
});

test('sources, places and passwords are resolved against the folder of the file', () => {
  const { volumes, repositories, schedules } = parse(`
volumes:
  a: { source: { directory: ./data }, size: 12 }
  b: { source: { docker: app_b } }
  c: { source: { pvc: prod/data } }
  d: { source: { directory: ~/d } }
repositories:
  above: { url: ../backups, passwordCommand: pass show backup }
  file: { url: "file:///mnt/x", passwordCommand: [op, read, it] }
  local: { url: "local:y", passwordFile: /etc/key }
  sftp: { url: "sftp:me@there:/z" }
schedules: { a: { cron: "*/15 9-17 * jan-mar mon,fri", timeZone: Europe/Zurich } }`);
  assert.deepEqual(
    volumes.map((volume) => volume.source),
    [
      { kind: 'directory', directory: '/srv/app/data' },
      { kind: 'docker', volume: 'app_b' },
      { kind: 'pvc', namespace: 'prod', claim: 'data' },
      { kind: 'directory', directory: join(homedir(), 'd') },
    ],
  );
  assert.equal(volumes[0]?.sizeBytes, 12);
  assert.deepEqual(
    repositories.map(({ url, passwordFile, passwordCommand }) => [url, passwordFile, passwordCommand]),
    [
      ['/srv/backups', undefined, ['/bin/sh', '-c', 'pass show backup']],
      ['/mnt/x', undefined, ['op', 'read', 'it']],
      ['/srv/app/y', '/etc/key', undefined],
      ['sftp:me@there:/z', '/srv/app/holdfast.key', undefined],
    ],
  );
  assert.deepEqual(schedules[0], {
    name: 'a',
    at: { kind: 'cron', cron: '*/15 9-17 * jan-mar mon,fri', timeZone: 'Europe/Zurich' },
    jitterMs: 0,
    ...effort(6),
    action: { kind: 'backup', to: 'above' },
  });
});

test('unknown keys and values come with the nearest known one', () => {
  onlyMistake('volumes: { data: }\nretension: {}', '2:1', 'unknown key `retension`', 'did you mean `retention`?');
  onlyMistake('volumes:\n  data: { senstive: true }', '2:11', 'did you mean `sensitive`?');
  onlyMistake('volumes:\n  data: { szie: 1 }', '2:11', 'did you mean `size`?');
  onlyMistake('volumes:\n  data: { exclude_caches: true }', '2:11', 'did you mean `excludeCaches`?');
  onlyMistake('volumes:\n  data: { zebra: true }', '2:11', 'unknown key `zebra`', 'known here: `path`');
  onlyMistake('volumes:\n  data: { criticality: critcal }', '2:24', 'one of `critical`', 'found `critcal`', 'did you mean `critical`?');
  onlyMistake('volumes:\n  data: { app: postgresql }', '2:16', 'did you mean `postgres`?');
  onlyMistake('volumes: { data: { __proto__: 1 } }', '1:20', 'unknown key `__proto__`');
});

test('values say what was expected and what was found', () => {
  const volume = (text: string) => `volumes:\n  data: { ${text} }`;
  onlyMistake(volume('size: lots'), '2:17', '`volumes.data.size`', 'a size such as', 'found `lots`');
  onlyMistake(volume('size: -1'), '2:17', 'a size such as', 'found `-1`');
  onlyMistake(volume('sensitive: yes'), '2:22', '`true` or `false`', 'found the text `yes`');
  onlyMistake(volume('exclude: "*.log"'), '2:20', 'a list', 'found the text `*.log`');
  onlyMistake(volume('exclude: [a, 5]'), '2:24', '`volumes.data.exclude[1]`', 'found `5`');
  onlyMistake(volume('path:'), '2:11', 'a path', 'found nothing');
  onlyMistake(volume('source: { pvc: data }'), '2:26', 'namespace/name');
  onlyMistake(volume('source: {}'), '2:19', 'expected one of', 'found none');
  onlyMistake(volume('source: { docker: a, directory: b }'), '2:19', 'found `directory` and `docker`');
  onlyMistake('project: 7\nvolumes: { a: }', '1:10', 'found the number `7`', 'in quotes');
  onlyMistake('volumes: { a: }\nobjectives: { rpo: 60 }', '2:20', 'a duration such as', 'found `60`');
  onlyMistake('volumes: { a: }\nobjectives: { rpo: 0h }', '2:20', 'more than nothing');
  onlyMistake('volumes: { a: }\nretention: { daily: "7" }', '2:21', 'a whole number', 'found the text `7`');
  onlyMistake('volumes: { a: }\nretention: { daily: -2 }', '2:21', '`unlimited`', 'found `-2`');
  onlyMistake('volumes: { a: }\nretention: { within: 6m }', '2:22', 'h, d, w, mo, y', 'found `6m`');
  onlyMistake('volumes: { a: }\nretention: { withinDaily: 0d }', '2:27', 'more than nothing');
  onlyMistake('volumes: { a: }\nretention: { brake: { shrink: 101 } }', '2:31', 'from 1 to 100, or `off`', 'found `101`');
  onlyMistake('volumes: { a: }\nretention: { brake: { shrunk: 10 } }', '2:23', 'unknown key `shrunk`', 'did you mean `shrink`?');
  onlyMistake('volumes: { a: }\ndrills:', '2:1', 'a mapping', 'found nothing');
  onlyMistake('volumes: { a: }\nretention: { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0 }', '2:12', 'keep no scheduled snapshot');
  onlyMistake('volumes: { a: }\nrepositories: { r: {} }', '2:17', 'the key `url` is missing');
  onlyMistake('volumes: {}', '1:10', 'at least one');
  onlyMistake('project: x', '1:1', 'the key `volumes` is missing');
  onlyMistake('', '1:1', 'found nothing');
  onlyMistake('- a', '1:1', 'found a list');
});

test('names that would break tags, commands or file names are refused', () => {
  for (const name of ['a b', 'a,b', 'a/b', '-a', '.a', '_a', '', 'ä', 'a=b', '__proto__']) {
    onlyMistake(`volumes:\n  ? "${name}"\n  : { size: 1 }`, '2:5', 'in `volumes`', 'expected a name', `found \`${name}\``);
    onlyMistake(`volumes: { a: }\nproject: "${name}"`, '2:10', 'expected a name');
  }
  assert.deepEqual(
    parse('volumes: { 007: , 1e3: , null: , true: , a.b_c-d: }').volumes.map((volume) => volume.name),
    ['007', '1e3', 'null', 'true', 'a.b_c-d'],
  );
  assert.throws(() => parseConfiguration('volumes: { a: }', '/srv/my app/holdfast.yaml'), /`project` is missing/);
});

test('references that name nothing come with the nearest name', () => {
  const head = 'volumes: { a: }\nrepositories: { local: { url: r }, offsite: { url: s } }\n';
  onlyMistake(`${head}schedules: { x: { cron: "0 * * * *", to: locl } }`, '3:42', 'no repository `locl`', 'did you mean `local`?');
  onlyMistake(`${head}schedules: { x: { cron: "0 * * * *", copy: { from: local, to: of-site } } }`, '3:63', 'did you mean `offsite`?');
  onlyMistake(`${head}schedules: { x: { cron: "0 * * * *", copy: { from: local, to: local } } }`, '3:63', 'two different');
  onlyMistake(`${head}schedules: { x: { cron: "0 * * * *", to: local, copy: { from: local, to: offsite } } }`, '3:49', 'found both');
  onlyMistake('volumes: { a: }\nschedules: { x: { cron: "0 * * * *", to: toString } }', '2:42', 'no repository `toString`');
  onlyMistake('volumes: { a: }\nrepositories: { x: { url: "s4://b" } }', '2:27', 'did you mean `s3`?');
  onlyMistake('volumes: { a: }\nrepositories: { x: { url: "azure:b" } }', '2:27', 'rclone');
});

test('what the daemon does, with units and defaults', () => {
  const plainly = parse('volumes: { a: }');
  assert.deepEqual(plainly.maintenance, {
    forget: { ...cron('17 3 * * *'), ...effort(4) },
    check: { ...cron('42 5 * * *'), ...effort(2), rereadMs: 30 * 86_400_000 },
    usage: { at: { kind: 'every', everyMs: 900_000 }, jitterMs: 0, ...effort(7) },
  });
  assert.deepEqual(plainly.daemon, {
    listen: '127.0.0.1:7468',
    tls: undefined,
    behindProxy: false,
    jobs: 2,
    limits: { uploadBytesPerSecond: undefined, downloadBytesPerSecond: undefined },
    quietHours: [],
    historyMs: 180 * 86_400_000,
  });
  const { schedules, maintenance, daemon, repositories } = parse(`
volumes: { a: , b: }
repositories: { local: { url: r, maintenance: false } }
schedules: { often: { every: 15m, volumes: [b], jitter: 1m, priority: 9, deadline: 10m, attempts: 1 } }
maintenance: { forget: { enabled: false }, check: { every: 1w } }
daemon:
  listen: ./holdfast.sock
  tls: { certificate: c.pem, key: /k.pem }
  limits: { upload: 10M }
  quietHours: [{ from: "22:30", to: "06:00", days: [fri, sat], backups: false }]`);
  assert.deepEqual(schedules, [
    {
      name: 'often',
      at: { kind: 'every', everyMs: 900_000 },
      jitterMs: 60_000,
      priority: 9,
      deadlineMs: 600_000,
      attempts: 1,
      action: { kind: 'backup', to: 'local', volumes: ['b'] },
    },
  ]);
  assert.equal(repositories[0]?.maintenance, false);
  assert.equal(maintenance.forget, undefined);
  assert.deepEqual(maintenance.check?.at, { kind: 'every', everyMs: 7 * 86_400_000 });
  assert.deepEqual([daemon.listen, daemon.tls], ['/srv/app/holdfast.sock', { certificate: '/srv/app/c.pem', key: '/k.pem' }]);
  assert.deepEqual(daemon.limits, { uploadBytesPerSecond: 10_000_000, downloadBytesPerSecond: undefined });
  assert.deepEqual(daemon.quietHours, [{ fromMinute: 1350, toMinute: 360, days: [5, 6], timeZone: undefined, backups: false }]);
});

test('what the daemon cannot do is refused', () => {
  const schedule = (text: string) => `volumes: { data: }\nschedules: { x: { ${text} } }`;
  onlyMistake(schedule('to: local'), '2:17', 'found neither');
  onlyMistake(schedule('cron: "0 * * * *", every: 1h'), '2:38', 'found both');
  onlyMistake(schedule('every: 1h, timeZone: UTC'), '2:30', 'only with `cron`');
  onlyMistake(schedule('every: 1h, volumes: [dtaa]'), '2:40', 'no volume `dtaa`', 'did you mean `data`?');
  onlyMistake('volumes: { a: }\nmaintenance: { check: { cron: "0 * * * *", every: 1h } }', '2:44', 'found both');
  onlyMistake('volumes: { a: }\ndaemon: { listen: "0.0.0.0:7468" }', '2:19', 'this host only');
  onlyMistake('volumes: { a: }\ndaemon: { listen: "7468" }', '2:19', 'HOST:PORT');
  onlyMistake('volumes: { a: }\ndaemon: { quietHours: [{ from: "24:00", to: "06:00" }] }', '2:32', '08:30');
  onlyMistake('volumes: { a: }\ndaemon: { quietHours: [{ from: "22:00", to: "06:00", days: [mom] }] }', '2:61', 'did you mean `mon`?');
  for (const safe of ['listen: "0.0.0.0:7468", behindProxy: true', 'listen: "[::1]:0"', 'listen: /run/holdfast.sock']) {
    assert.deepEqual(mistakes(`volumes: { a: }\ndaemon: { ${safe} }`), []);
  }
});

test('a repository inside a volume is refused', () => {
  const text = (url: string) => `volumes: { a: { source: { directory: ./data } } }\nrepositories: { r: { url: ${url} } }`;
  onlyMistake(text('./data/repository'), '2:27', 'inside the volume `a`');
  onlyMistake(text('data'), '2:27', 'inside the volume `a`');
  onlyMistake(text('../app/./data/x/..'), '2:27', 'inside the volume `a`');
  onlyMistake('volumes: { a: { source: { directory: / } } }\nrepositories: { r: { url: ./r } }', '2:27', 'inside the volume `a`');
  assert.deepEqual(mistakes(text('./data-repository')), []);
  assert.deepEqual(mistakes(text('./data/../other')), []);
});

test('syntax: said in plain words, at its place', () => {
  onlyMistake('volumes:\n\tdata: 5', '2:1', 'a tab');
  onlyMistake('volumes: { a: }\nexclude: [*.log]', '2:11', 'begins with `*`', 'quotes');
  onlyMistake('volumes: { a: }\nschedules:\n  x:\n    cron: */5 * * * *', '4:11', 'begins with `*`');
  onlyMistake('volumes: { a: { path: x }', '1:26', 'bracket');
  onlyMistake('volumes:\n  a: "x', '2:8', 'quote');
  onlyMistake('volumes:\n  a: b: c', '2:6', 'second `key:`');
  onlyMistake('volumes: { a: }\n---\nb: 1', '2:1', 'second document');
  onlyMistake('volumes: { a: }\nproject: x\nproject: x', '3:1', 'twice');
  assert.deepEqual(
    mistakes('volumes:\n  a: { size: 1 }\n  a: { size: x }').map((line) => line.split(': ')[0]),
    ['3:3', '3:14'],
  );
});

test('all mistakes come at once, in the order of the file', () => {
  const found = mistakes(`project: x y
volumes:
  data: { size: big, pth: /x }
  data: { criticality: high }
repositories:
  local: { url: r, passwordFile: a, passwordCommand: b }
schedules:
  hourly: { cron: "0 * * *", to: lcal }
drill: {}`);
  assert.deepEqual(
    found.map((line) => line.split(': ')[0]),
    ['1:10', '4:3', '4:24', '6:37', '8:19', '8:34', '9:1'],
  );
});

test('a secret in the file is refused and never repeated', () => {
  const secret = '424242';
  onlyMistake(`volumes: { a: }\nrepositories: { r: { url: x, password: ${secret} } }`, '2:30', 'does not belong here', '`passwordFile`');
  for (const text of [
    `volumes: { a: }\nrepositories: { r: { url: "s4://k:${secret}@h" , passwordFile: [${secret}], passwordCommand: { a: ${secret} } } }`,
    `volumes: { a: }\nrepositories: { r: { url: { a: ${secret} }, passwordFile: ${secret}, passwordCommand: [echo, ${secret}], PASSWORD: ${secret} } }`,
    `volumes: { a: }\nrepositories: { r: { url: x, options: { accessKey: [${secret}], region: { a: ${secret} } } } }`,
    `volumes: { a: }\nrepositories: { r: { url: x, options: ${secret} } }`,
    `volumes: { a: }\nrepositories: { r: { url: "x, passwordCommand: ${secret} } }`,
    `volumes: { a: }\nrepositories:\n  r: { url: x }\n   ${secret}: x ]`,
    `volumes: { a: }\npassphrase: "\\q${secret}"`,
    `volumes: { a: }\ntoken: *${secret}`,
    `volumes: { a: }\ntoken: !${secret} x`,
  ]) {
    const found = mistakes(text);
    assert.notEqual(found.length, 0, text);
    assert.ok(!found.join('\n').includes(secret), found.join('\n'));
  }
});

test('hostile text: an error of the catalogue, or a configuration, and nothing else', () => {
  const token = fc.constantFrom(
    ...'volumes:|repositories:|schedules:|retention:|data|  |\n|{|}|[|]|: |, |- |"|\'|*a|&a |!x |<<: |? |#|---|\t|null|~|1e9|__proto__|url|cron|to|copy|: 0h|%|@'.split(
      '|',
    ),
  );
  const text = fc.oneof(
    anyText(),
    fc.array(token, { maxLength: 60 }).map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(text, (source) => {
      mistakes(source);
    }),
    { numRuns: runs(200) },
  );
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${[...'bcdefghi'].map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[i]}`)}]`).join('\n')}`;
  assert.match(mistakes(bomb).join('\n'), /aliases/);
});

test('any volumes that are written are read back', () => {
  const name = fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,20}$/);
  const volume = fc.record(
    {
      path: anyText({ minLength: 1 }),
      size: fc.nat(),
      sensitive: fc.boolean(),
      exclude: fc.array(fc.string({ minLength: 1 })),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.dictionary(name, volume, { minKeys: 1 }), (volumes) => {
      const parsed = parse(JSON.stringify({ volumes }));
      for (const { name, path, sizeBytes, sensitive, exclude } of parsed.volumes) {
        const written = volumes[name];
        assert.deepEqual(
          [path, sizeBytes, sensitive, exclude],
          [written?.path, written?.size, written?.sensitive ?? false, written?.exclude ?? []],
        );
      }
      assert.equal(parsed.volumes.length, Object.keys(volumes).length);
    }),
    { numRuns: runs(100) },
  );
});

test('files of other users: used in a folder of theirs that was gone to, not from above it, nor where everybody may put one', async (t) => {
  if (process.geteuid?.() !== 0) return t.skip('only root gives files to others');
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-configuration-'));
  t.after(() => rm(folder, { recursive: true }));
  const [file, deep] = [join(folder, 'holdfast.yaml'), join(folder, 'a')];
  await mkdir(deep);
  await writeFile(file, 'project: x\n');
  assert.equal(await findConfiguration(deep), file);
  await chown(file, 65534, 65534);
  await assert.rejects(findConfiguration(deep), /holdfast\.yaml belongs to another user/);
  assert.equal(await findConfiguration(folder), file);
  await chmod(folder, 0o1777);
  await assert.rejects(findConfiguration(folder), { code: 'configuration' });
  await chown(file, 0, 0);
  assert.equal(await findConfiguration(deep), file);
  const link = join(deep, 'holdfast.yaml');
  await symlink(file, link);
  await lchown(link, 65534, 65534);
  await chmod(deep, 0o1777);
  await assert.rejects(findConfiguration(deep), { code: 'configuration' });
});

test('files: found in the folder or above it, missing ones and wrong ones told apart', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-configuration-'));
  t.after(() => rm(folder, { recursive: true }));
  const deep = join(folder, 'a', 'b');
  await mkdir(deep, { recursive: true });
  const code = (expected: string) => (error: unknown) => error instanceof HoldfastError && error.code === expected;
  await assert.rejects(loadConfiguration(join(folder, 'holdfast.yaml')), code('configuration-missing'));
  await assert.rejects(loadConfiguration(folder), code('configuration'));
  await writeFile(join(folder, 'holdfast.yaml'), '\ufeffproject: x\r\nvolumes:\r\n  data:\r\n');
  assert.equal(await findConfiguration(deep), join(folder, 'holdfast.yaml'));
  await mkdir(join(deep, 'holdfast.yaml'));
  await writeFile(join(deep, 'holdfast.yml'), Buffer.from('project: caf\xe9', 'latin1'));
  assert.equal(await findConfiguration(deep), join(deep, 'holdfast.yml'));
  assert.equal((await loadConfiguration(join(folder, 'holdfast.yaml'))).project, 'x');
  const plainly = join(deep, 'holdfast.yaml');
  await rm(plainly, { recursive: true });
  await writeFile(plainly, 'project: y\nvolumes:\n  data: { size: 5Gi }\n');
  assert.deepEqual(await loadConfiguration(plainly), parseConfiguration(await readFile(plainly, 'utf8'), plainly));
  await writeFile(plainly, 'project: y\nvolumes:\n  data: { szie: 5Gi }\n');
  await assert.rejects(loadConfiguration(plainly), /holdfast\.yaml:3:11: unknown key `szie`; did you mean `size`/);
  await writeFile(plainly, 'project: y\nvolumes: { data: }\nschedules: { x: { every: 1h, to: locl } }\n');
  await assert.rejects(loadConfiguration(plainly), /holdfast\.yaml:3:34: there is no repository `locl`/);
  await assert.rejects(loadConfiguration(join(deep, 'holdfast.yml')), /not UTF-8/);
});

test('the committed JSON Schema is current', async () => {
  const committed = JSON.parse(await readFile(new URL('../../../docs/holdfast.schema.json', import.meta.url), 'utf8'));
  assert.deepEqual(committed, configurationJsonSchema(), 'run `node scripts/build-schema.ts`');
});

test('settings of a storage', () => {
  const [repository] = parse(`volumes: { a: }
repositories:
  r:
    url: s3:bucket
    options: { region: eu-west-1, pathStyle: true, retainDays: 30 }
    limits: { upload: 10M, download: 500000 }
    connections: 8
    cache: false
`).repositories;
  assert.deepEqual(repository?.options, { region: 'eu-west-1', pathStyle: 'true', retainDays: '30', connections: '8' });
  assert.deepEqual(repository?.limits, { uploadBytesPerSecond: 10_000_000, downloadBytesPerSecond: 500_000 });
  assert.equal(repository?.cache, false);
});

test('hooks: a shell command or a program and its arguments, on this host or in a container, for a time', () => {
  const { hooks, volumes } = parse(`volumes: { a: { cut: stop }, b: }
hooks:
  before: [{ run: "sync; true" }, { run: [sync], in: web, user: www-data, timeout: 30s }]`);
  assert.deepEqual(hooks.before, [
    { command: ['/bin/sh', '-c', 'sync; true'], in: undefined, user: undefined, timeoutMs: 300_000 },
    { command: ['sync'], in: 'web', user: 'www-data', timeoutMs: 30_000 },
  ]);
  assert.deepEqual([hooks.after, hooks.onError], [[], []]);
  assert.deepEqual(
    volumes.map(({ cut }) => cut),
    ['stop', 'auto'],
  );
});
