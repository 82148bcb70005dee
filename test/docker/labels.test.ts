/** Projects that labels describe, and their hooks, on a real Docker Engine. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { run } from '../../src/cli/run.ts';
import { importImage, startDockerEngine, type TestEngine } from '../docker-engine.ts';
import { type Document, documents } from '../programs.ts';
import { type CutProject, cutProject, startService } from './cut-project.ts';

const image = 'busybox:test';

const labelled = (labels: Record<string, string>) => Object.entries(labels).flatMap(([key, value]) => ['--label', `${key}=${value}`]);

function createVolume(engine: TestEngine, key: string, labels: Record<string, string> = {}): void {
  const own = labelled({ 'com.docker.compose.project': 'shop', 'com.docker.compose.volume': key, ...labels });
  engine.docker('volume', 'create', ...own, `shop_${key}`);
}

function removeAfter(t: TestContext, engine: TestEngine): void {
  t.after(() => {
    const ids = engine.docker('ps', '--all', '--quiet').split('\n').filter(Boolean);
    if (ids.length > 0) engine.docker('rm', '--force', '--volumes', ...ids);
    for (const volume of engine.docker('volume', 'ls', '--quiet').split('\n').filter(Boolean)) engine.docker('volume', 'rm', volume);
  });
}

type Said = { status: number; events: Document[]; stderr: string };
/** As {@link CutProject}, by command lines in this process: quicker. */
type Project = {
  folder: string;
  holdfast(args: readonly string[], exit?: number): Promise<Said>;
  restored(volume: string): Promise<string>;
};

function inProcess({ folder, environment }: CutProject): Project {
  const holdfast = async (args: readonly string[], exit = 0): Promise<Said> => {
    let [stdout, stderr] = ['', ''];
    const status = await run(['--json', ...args], {
      stdout: { write: (text: string) => (stdout += text) },
      stderr: { write: (text: string) => (stderr += text) },
      environment: { ...environment, HOME: folder, PATH: process.env.PATH },
      cwd: folder,
      signal: new AbortController().signal,
    });
    assert.equal(status, exit, `holdfast ${args.join(' ')}: ${stderr}${stdout}`);
    return { status, events: documents(stdout), stderr };
  };
  return {
    folder,
    holdfast,
    async restored(volume) {
      const target = mkdtempSync(join(folder, 'restored-'));
      await holdfast(['restore', volume, '--to', target]);
      return target;
    },
  };
}

/** The project without its holdfast.yaml; the repository is where it would be. */
function withoutFile(
  t: TestContext,
  engine: TestEngine,
  compose = 'name: shop\nservices: { db: { image: x, volumes: ["data:/data"] } }\nvolumes: { data: }\n',
): Project {
  const project = inProcess(cutProject(t, engine, '{ data: }'));
  rmSync(join(project.folder, 'holdfast.yaml'));
  writeFileSync(join(project.folder, 'compose.yaml'), compose);
  return project;
}

const snapshotOf = (events: Document[], volume = 'data') => events.find((event) => event.event === 'snapshot' && event.volume === volume);
const put = (engine: TestEngine, volume: string, name: string, content = name) =>
  writeFileSync(join(engine.directoryOf(`shop_${volume}`), name), content);

test('labels', async (t) => {
  const engine = await startDockerEngine(t);
  if (engine === undefined) return;
  importImage(engine, 'busybox');

  await t.test('complete holdfast.yaml, which has the last word and says so once', async (t) => {
    removeAfter(t, engine);
    const project = inProcess(cutProject(t, engine, '{ data: { exclude: ["*.tmp"], criticality: low } }'));
    createVolume(engine, 'data', { 'holdfast.criticality': 'critical', 'holdfast.cut': 'stop', 'holdfast.sensitive': 'true' });
    createVolume(engine, 'more', { 'holdfast.exclude': 'cache, *.log' });
    for (const name of ['a.tmp', 'kept']) put(engine, 'data', name);
    for (const name of ['cache', 'x.log', 'kept']) put(engine, 'more', name);
    startService(engine, 'db', {
      image,
      options: ['--volume=shop_data:/data'],
      command: ['sh', '-c', 'trap exit TERM; sleep 1000 & wait'],
    });
    const { events, stderr } = await project.holdfast(['backup']);
    assert.equal(snapshotOf(events).consistency, 'stopped', 'by the label holdfast.cut');
    assert.equal(stderr.match(/holdfast.criticality/g)?.length, 1, stderr);
    assert.deepEqual(
      events.find(({ event }) => event === 'project').labels.map(({ volume, key }: Document) => `${volume} ${key}`),
      ['data sensitive', 'more exclude'],
    );
    // Whoever reads snapshots knows it as well as the volumes of the file.
    for (const words of [
      ['ls', 'more'],
      ['find', '--volume', 'more', 'kept'],
      ['forget', '--dry-run', '--volume', 'more'],
      ['drill', 'more'],
    ])
      await project.holdfast(words);
    const drilled = (await project.holdfast(['drill', '--dry-run'])).events.map(({ volume }) => volume);
    assert.ok(drilled.includes('more'), `${drilled}`);
    assert.deepEqual(readdirSync(await project.restored('data')), ['kept']);
    assert.deepEqual(readdirSync(await project.restored('more')), ['kept']);
    const refused = (await project.holdfast(['export', 'data', '--output', 'x.tar'], 2)).stderr;
    assert.match(refused, /sensitive-plain/);
    const paused = (await project.holdfast(['backup', '--cut', 'pause'])).events;
    assert.equal(snapshotOf(paused).consistency, 'paused', 'a command line goes before all');
  });

  await t.test('a compose project with labels only', async (t) => {
    removeAfter(t, engine);
    const project = withoutFile(t, engine);
    createVolume(engine, 'data');
    put(engine, 'data', 'kept');
    assert.match((await project.holdfast(['backup'], 2)).stderr, /no holdfast.yaml/, 'nothing asks for a backup');
    createVolume(engine, 'cache', { 'holdfast.enabled': 'false' });
    createVolume(engine, 'uploads', { 'holdfast.criticality': 'low', 'holdfast.exclude': '*.part' });
    put(engine, 'uploads', 'a.part');
    const { events } = await project.holdfast(['backup', '--allow-empty']);
    const said = events.find(({ event }) => event === 'project');
    assert.deepEqual([said.project, said.volumes, said.file], ['shop', ['data', 'uploads'], undefined]);
    assert.deepEqual(
      events
        .filter(({ event }) => event === 'snapshot')
        .map(({ volume }) => volume)
        .sort(),
      ['data', 'uploads'],
    );
    rmSync(join(engine.directoryOf('shop_data'), 'kept'));
    await project.holdfast(['restore', 'data']);
    assert.ok(existsSync(join(engine.directoryOf('shop_data'), 'kept')));
    const { events: guarded } = await project.holdfast(['guard', '--volume', 'data', '--', 'true']);
    assert.ok(guarded.some(({ event }) => event === 'guarded'));
    assert.equal((await project.holdfast(['volumes'])).status, 0);
    await project.holdfast(['init']);
    assert.ok(existsSync(join(project.folder, 'holdfast.yaml')), 'init writes the file for those who want one');
  });

  await t.test('SQLite by label: copied, nothing is halted', async (t) => {
    removeAfter(t, engine);
    const project = inProcess(cutProject(t, engine, '{ data: }'));
    startService(engine, 'app', {
      image,
      options: ['--volume=shop_data:/data', ...labelled({ 'holdfast.app': 'sqlite' })],
      command: ['sleep', '1000000'],
    });
    const database = new DatabaseSync(join(engine.directoryOf('shop_data'), 'app.db'));
    database.exec('PRAGMA journal_mode=wal; CREATE TABLE log (n); INSERT INTO log VALUES (1), (2)');
    const { events } = await project.holdfast(['backup']);
    database.close();
    assert.deepEqual(events.find(({ event }) => event === 'cut-planned').halts, []);
    assert.equal(snapshotOf(events).consistency, 'dumped');
    const to = await project.restored('data');
    assert.deepEqual(readdirSync(to), ['app.db']);
    assert.equal(new DatabaseSync(join(to, 'app.db')).prepare('SELECT sum(n) AS sum FROM log').get()?.sum, 3);
  });

  await t.test('hooks: as a user, before and after; a failure stops the backup, and after runs all the same', async (t) => {
    removeAfter(t, engine);
    const project = inProcess(cutProject(t, engine, '{ data: }'));
    const log = (word: string) => `echo ${word} $(id -u) >> /data/log`;
    const start = (before: string, more: Record<string, string> = {}) =>
      startService(engine, 'db', {
        image,
        options: [
          '--volume=shop_data:/data',
          ...labelled({
            'holdfast.hook.before': before,
            'holdfast.hook.after': log('after'),
            'holdfast.hook.on-error': log('error'),
            'holdfast.hook.before.user': '1234',
            ...more,
          }),
        ],
        command: ['sh', '-c', 'chmod 777 /data; exec sleep 1000000'],
      });
    const logOf = () => {
      const path = join(engine.directoryOf('shop_data'), 'log');
      const text = readFileSync(path, 'utf8');
      rmSync(path);
      return text;
    };
    let container = start(`umask 0; ${log('before')}`);
    await project.holdfast(['backup']);
    assert.equal(logOf(), 'before 1234\nafter 0\n');
    engine.docker('rm', '--force', container);

    container = start('echo no room >&2; exit 3');
    const failed = await project.holdfast(['backup'], 1);
    assert.match(failed.stderr, /no room/);
    assert.equal(snapshotOf(failed.events), undefined);
    assert.equal(logOf(), 'error 0\nafter 0\n');
    engine.docker('rm', '--force', container);

    container = start('sleep 4321 & sleep 4321', { 'holdfast.hook.timeout': '1s' });
    const late = await project.holdfast(['backup'], 1);
    assert.match(late.stderr, /took longer than 1 s/);
    assert.doesNotMatch(late.stderr, /may go on/);
    assert.doesNotMatch(engine.docker('top', container), /sleep 4321/, 'neither the hook nor what it has started goes on');
    assert.equal(logOf(), 'error 0\nafter 0\n');
    engine.docker('rm', '--force', container);

    start('true', { 'holdfast.hook.timeout': 'soon' });
    assert.match((await project.holdfast(['backup'], 2)).stderr, /"soon\\*" is no duration/);
  });
});
