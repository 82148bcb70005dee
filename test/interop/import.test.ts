/** `import`: archives of other programs become snapshots that restore to what they were made of; hostile ones do no harm. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { TarEntry } from '../../src/engine/source/tar-entry.ts';
import { headersOf, tarBytes } from '../../src/engine/source/tar-write.ts';
import type { RawString } from '../../src/model/raw-bytes.ts';
import { createRepository } from '../../src/repository/repository.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { makeAwkwardTree, randomBytes } from '../awkward-tree.ts';
import { commandLine } from '../command-line.ts';
import { peer, requirePeer, requireRestic, scratch } from '../peers.ts';
import { type Document, differences, documents, holdfastProgram, restic, run } from '../programs.ts';
import { scratchOptions } from '../scratch-repository.ts';

const asRoot = process.getuid?.() === 0;

/** A project with these volumes, which are nowhere yet; and how to run its commands. */
async function projectOf(t: TestContext, ...volumes: string[]) {
  const folder = scratch(t);
  const lines = volumes.map((name) => `  ${name}: {source: {directory: ./volumes/${name}}}\n`).join('');
  writeFileSync(
    join(folder, 'holdfast.yaml'),
    `project: shop\nvolumes:\n${lines}repositories:\n  local: {url: ./repository, passwordFile: ./key}\n`,
  );
  // A key that is cheap to open: it is opened again and again.
  writeFileSync(join(folder, 'key'), 'password of the tests\n', { mode: 0o600 });
  await createRepository(createLocalStorage(join(folder, 'repository')), {
    ...scratchOptions,
    password: Buffer.from('password of the tests'),
  });
  const say = commandLine(folder);
  const ask = async (args: readonly string[], exit = 0): Promise<Document[]> => {
    const said = await say('--json', ...args);
    assert.equal(said.exit, exit, `${args.join(' ')}: ${said.stderr}${said.stdout}`);
    return documents(said.stdout + said.stderr);
  };
  const restored = async (at = 'latest'): Promise<string> => {
    const copy = join(scratch(t), 'copy');
    await ask(['restore', '--to', copy, '--at', at]);
    return copy;
  };
  return { folder, repository: join(folder, 'repository'), passwordFile: join(folder, 'key'), ask, restored };
}

/** What `import` says of an archive. */
const told = (said: Document[]): Document => said.find(({ archive }) => archive !== undefined);

const plain = { mode: 0o644, uid: 0, gid: 0, user: '', group: '', mtimeSec: 1_700_000_000, mtimeNsec: 0, attributes: [] };
const at = (path: string) => ({ ...plain, path: path as RawString });
const fileOf = (path: string, text: string): TarEntry => ({
  ...at(path),
  type: 'file',
  sizeBytes: text.length,
  content: (async function* () {
    yield Buffer.from(text, 'latin1');
  })(),
});

async function archiveOf(...entries: TarEntry[]): Promise<Buffer> {
  const listed = (async function* () {
    yield* entries;
  })();
  return Buffer.concat(await Array.fromAsync(tarBytes(listed)));
}

test('archives of GNU tar, busybox and bsdtar restore to what they were made of', { skip: !asRoot && 'needs root' }, async (t) => {
  const rsync = requirePeer(t, 'rsync');
  const newest = requireRestic(t, 'newest');
  if (!rsync || !newest || !requirePeer(t, 'setfacl') || !requirePeer(t, 'setcap')) return;
  const folder = scratch(t);
  const volume = join(folder, 'data');
  mkdirSync(volume);
  makeAwkwardTree(volume, { asRoot: true });
  const project = await projectOf(t, 'data');
  const everything = ['--xattrs', '--xattrs-include=*', '--acls', '--numeric-owner'];
  const makers: [name: string, program: string | undefined, options: string[], whole: boolean][] = [
    ['pax', 'tar', ['--format=pax', '--sparse', ...everything], true],
    ['gnu', 'tar', ['--format=gnu', '--sparse', '--numeric-owner'], false],
    ['busybox', requirePeer(t, 'busybox'), ['tar'], false],
    ['bsdtar', requirePeer(t, 'bsdtar'), ['--format=pax', '--no-xattrs', '--acls', '--numeric-owner'], false],
  ];
  for (const [name, program, options, whole] of makers) {
    if (program === undefined) continue;
    const archive = join(folder, `${name}.tar`);
    const rest = program.endsWith('busybox') ? [...options, 'cf', archive] : [...options, '-cf', archive];
    // What no tar holds, such as sockets, is told of.
    spawnSync(program, [...rest, '-C', volume, '.'], { stdio: 'ignore' });
    const { layout, leftOut, volumes } = told(await project.ask(['import', archive, '--devices']));
    assert.deepEqual([name, layout, leftOut], [name, 'single', 0]);
    const copy = await project.restored(volumes[0].snapshot);
    const expected = join(scratch(t), 'expected');
    mkdirSync(expected);
    // GNU tar gives directories of bsdtar's archives, in which entries come in another order, wrong times.
    if (name === 'bsdtar') run(program, ['-xpf', archive, '-C', expected, '--numeric-owner']);
    else run('tar', ['-xpf', archive, '-C', expected, ...everything.slice(0, 3)]);
    // What bsdtar writes of times before 1970 and of names that are no ASCII, it doesn't read back itself.
    const found: string[] = differences(rsync, whole ? volume : expected, join(copy, 'data')).split('\n');
    assert.deepEqual(
      found.filter((line) => line !== '' && !(name === 'bsdtar' && / (times\/-|names\/)/.test(line))),
      [],
      name,
    );
  }
  restic(newest, project, ['check', '--read-data']);
});

test('an export becomes the same volumes in another repository', { skip: !asRoot && 'needs root' }, async (t) => {
  const rsync = requirePeer(t, 'rsync');
  if (!rsync || !requirePeer(t, 'setfacl') || !requirePeer(t, 'setcap')) return;
  const first = await projectOf(t, 'data', 'empty');
  for (const name of ['data', 'empty']) mkdirSync(join(first.folder, 'volumes', name), { recursive: true });
  makeAwkwardTree(join(first.folder, 'volumes/data'), { asRoot });
  await first.ask(['backup']);
  const archive = join(first.folder, 'all.tar.zst');
  await first.ask(['export', '--output', archive]);
  const second = await projectOf(t, 'data', 'empty');
  const { layout, volumes, time, timeFrom } = told(await second.ask(['import', archive, '--devices']));
  assert.deepEqual([layout, volumes.map(({ volume }: Document) => volume)], ['volumes', ['data', 'empty']]);
  assert.match(timeFrom, /exported from/);
  const times = (await first.ask(['snapshots'])).map((snapshot) => Date.parse(snapshot.time));
  assert.equal(Date.parse(time), Math.max(...times));
  const copy = await second.restored();
  for (const name of ['data', 'empty']) assert.equal(differences(rsync, join(first.folder, 'volumes', name), join(copy, name)), '');
  // And the same content is stored once: what is exported and imported again adds no data.
  await second.ask(['export', '--output', join(second.folder, 'again.tar')]);
  const [snapshot] = (await second.ask(['import', '--force', join(second.folder, 'again.tar'), '--devices'])).filter(
    ({ event }) => event === 'snapshot',
  );
  assert.ok(snapshot.summary.dataBlobs <= 1, 'only the file that says what the archive is');
});

test('however an archive is compressed, from a file or from standard input, once', async (t) => {
  const project = await projectOf(t, 'one', 'two');
  const source = join(project.folder, 'source');
  for (const name of ['one', 'two']) mkdirSync(join(source, name), { recursive: true });
  writeFileSync(join(source, 'one/large'), randomBytes(3_000_000));
  writeFileSync(join(source, 'two/small'), 'small');
  const plainTar = join(project.folder, 'plain-2026-01-31T10-20-30.tar');
  run('tar', ['-cf', plainTar, '-C', project.folder, 'source']);
  for (const [program, suffix] of [
    ['gzip', 'gz'],
    ['zstd', 'zst'],
    ['xz', 'xz'],
    ['bzip2', 'bz2'],
  ] as const) {
    if (program !== 'gzip' && peer(program) === undefined && process.env.CI !== 'true') continue;
    const archive = `${plainTar}.${suffix}`;
    writeFileSync(archive, execFileSync(program, ['-c', plainTar], { maxBuffer: 1e9 }));
    const { volumes, time, layout } = told(await project.ask(['import', archive]));
    assert.deepEqual(
      [layout, volumes.map(({ volume, outcome }: Document) => `${volume} ${outcome}`)],
      ['volumes', ['one imported', 'two imported']],
    );
    assert.equal(Date.parse(time), new Date(2026, 0, 31, 10, 20, 30).getTime());
    const again = told(await project.ask(['import', archive]));
    assert.deepEqual(
      again.volumes.map(({ outcome }: Document) => outcome),
      ['present', 'present'],
    );
    // A byte less, and nothing is taken over.
    writeFileSync(`${archive}.cut`, readFileSync(archive).subarray(0, -20));
    const [error] = (await project.ask(['import', `${archive}.cut`], 1)).filter(({ event }) => event === 'error');
    assert.equal(error.error.code, 'archive-damaged', suffix);
  }
  const before = (await project.ask(['snapshots'])).length;
  const piped = spawnSync(holdfastProgram, ['-C', project.folder, '--json', 'import', '-', '--volume', 'two'], {
    input: readFileSync(plainTar),
  });
  assert.equal(piped.status, 3, piped.stderr.toString());
  assert.equal((await project.ask(['snapshots'])).length, before + 1);
});

test('hostile archives do no harm, and what they hold is told', {
  skip: !asRoot && 'needs root, whose files they say to hold',
}, async (t) => {
  const project = await projectOf(t, 'data');
  const outside = join(project.folder, 'outside');
  writeFileSync(outside, 'safe');
  const archive = await archiveOf(
    fileOf('../outside', 'evil'),
    fileOf('a/../../outside', 'evil'),
    fileOf('/absolute', 'taken over below the root'),
    { ...at('out'), type: 'symlink', target: '/etc' as RawString },
    fileOf('out/passwd', 'evil'),
    { ...at('hard'), type: 'link', target: '../outside' as RawString },
    { ...at('lost'), type: 'link', target: 'nothing/here' as RawString },
    { ...at('disk'), type: 'dev', major: 8, minor: 0 },
    fileOf('twice', 'first'),
    fileOf('twice', 'second'),
    fileOf('becomes', 'a file'),
    fileOf('becomes/a', 'directory'),
    fileOf(`long/${'n'.repeat(256)}`, 'x'),
    fileOf(`${'deep/'.repeat(900)}x`, 'x'),
    fileOf('nul\0name', 'x'),
    fileOf('./././dots//and///slashes', 'fine'),
    { ...at('late'), type: 'link', target: 'comes/later' as RawString },
    fileOf('comes/later', 'linked'),
  );
  writeFileSync(join(project.folder, 'evil.tar'), archive);
  const said = await project.ask(['import', join(project.folder, 'evil.tar')], 3);
  const left = said.filter(({ event }) => event === 'file-problem').map(({ file }) => file.slice(0, 12));
  assert.deepEqual(
    left.sort(),
    ['../outside', 'a/../../outs', 'becomes/a', 'deep/deep/de', 'disk', 'hard', 'long/nnnnnnn', 'lost', 'out/passwd']
      .concat(said.some(({ file }) => file?.startsWith('nul')) ? ['nul'] : [])
      .sort(),
  );
  const copy = join(await project.restored(), 'data');
  assert.deepEqual(readdirSync(copy).sort(), ['absolute', 'becomes', 'comes', 'dots', 'late', 'nul', 'out', 'twice']);
  assert.equal(readFileSync(join(copy, 'twice'), 'utf8'), 'second');
  assert.equal(lstatSync(join(copy, 'late')).ino, lstatSync(join(copy, 'comes/later')).ino);
  assert.equal(readFileSync(outside, 'utf8'), 'safe');
});

test('bombs are refused before they cost anything', async (t) => {
  const project = await projectOf(t, 'data');
  const say = async (bytes: Buffer, ...options: string[]) => {
    writeFileSync(join(project.folder, 'bomb.tar'), bytes);
    const said = await project.ask(['import', join(project.folder, 'bomb.tar'), ...options], 1);
    return said.find(({ event }) => event === 'error').error.code;
  };
  // A hole of 8 EiB in three blocks; gigabytes of zeros in a small file.
  const records = ['GNU.sparse.size=9007199254740991', 'GNU.sparse.map=0,1'].map((text) => `${text.length + 4} ${text}\n`).join('');
  const header = headersOf(fileOf('x', records));
  header.write('x', 156);
  header.write('        ', 148, 'latin1');
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
    'latin1',
  );
  const hole = Buffer.concat([header, Buffer.from(records.padEnd(512, '\0')), await archiveOf(fileOf('hole', 'x'))]);
  assert.equal(await say(hole), 'archive-too-large');
  const zeros = join(project.folder, 'zeros');
  execFileSync('truncate', ['-s', '300M', zeros]);
  const small = execFileSync('sh', ['-c', 'tar -cf - "$0" | gzip -1', zeros], { stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 1e9 });
  assert.equal(await say(small, '--max-size', '10MiB'), 'archive-too-large');
  assert.equal((await project.ask(['snapshots'])).length, 0);
});

test('an import that is killed leaves a sound repository, and the next one finishes', async (t) => {
  const newest = requireRestic(t, 'newest');
  if (!newest) return;
  const project = await projectOf(t, 'data');
  const archive = join(project.folder, 'data.tar');
  mkdirSync(join(project.folder, 'big'));
  for (let i = 0; i < 12; i++) writeFileSync(join(project.folder, 'big', String(i)), randomBytes(8_000_000));
  run('tar', ['-cf', archive, '-C', join(project.folder, 'big'), '.']);
  const child = spawn(holdfastProgram, ['-C', project.folder, 'import', archive], { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const packs = () =>
    readdirSync(join(project.repository, 'data'), { recursive: true }).filter((name) => /[0-9a-f]{64}$/.test(String(name)));
  while (packs().length < 2 && child.exitCode === null) await new Promise((resolve) => setImmediate(resolve));
  child.kill('SIGKILL');
  await ended;
  assert.equal((await project.ask(['snapshots'])).length, 0);
  restic(newest, project, ['check', '--read-data', '--no-lock']);
  await project.ask(['import', archive]);
  const copy = await project.restored();
  assert.equal(spawnSync('diff', ['-r', join(project.folder, 'big'), join(copy, 'data')]).status, 0);
});

test('a dry run writes nothing, and wrong files spoil only themselves', async (t) => {
  const project = await projectOf(t, 'data');
  const good = join(project.folder, 'data.tar');
  writeFileSync(good, await archiveOf(fileOf('a', 'a')));
  const stored = () => execFileSync('find', [project.repository, '-type', 'f'], { encoding: 'utf8' }).split('\n').sort();
  const before = stored();
  const [
    {
      volumes: [volume],
    },
  ] = [told(await project.ask(['import', good, '--dry-run']))];
  assert.deepEqual([volume.outcome, volume.files, volume.snapshot], ['would-import', 1, '']);
  assert.deepEqual(stored(), before);
  writeFileSync(join(project.folder, 'text.tar'), 'no archive at all, but long enough to be a header'.repeat(20));
  const said = await project.ask(['import', join(project.folder, 'text.tar'), join(project.folder, 'missing.tar'), good], 1);
  assert.deepEqual(
    said.filter(({ event }) => event === 'error').map(({ error }) => error.code),
    ['archive-damaged', 'usage'],
  );
  assert.equal(told(said).volumes[0].outcome, 'imported');
  assert.ok(existsSync(good));
});
