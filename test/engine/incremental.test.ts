/** What the second backup does: what it reads, what it stores, what it finds its parent by, and when it refuses. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { requirePeer, requireRoot, scratch } from '../peers.ts';
import { type Document, documents, holdfast, holdfastJson, holdfastProgram, projectAt, run } from '../programs.ts';

type Volume = { folder: string; volume: string };

function newVolume(t: TestContext, files: Record<string, string>, settings: readonly string[] = []): Volume {
  const folder = scratch(t);
  const volume = join(folder, 'volume');
  mkdirSync(volume);
  write(volume, files);
  projectAt(folder, volume, settings);
  holdfast(folder, ['init']);
  return { folder, volume };
}

function write(volume: string, files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(volume, path, '..'), { recursive: true });
    writeFileSync(join(volume, path), text);
  }
}

const snapshotOf = (events: Document[]): Document => events.find(({ event }) => event === 'snapshot');

/** Counts of files of a backup: new, changed, unmodified. */
function backUp(
  { folder }: Volume,
  ...options: string[]
): { files: number[]; summary: Document; snapshot: Document; parent: string | undefined } {
  const events = holdfastJson(folder, ['backup', ...options]);
  const snapshot = snapshotOf(events);
  const { summary } = snapshot;
  const parent = events.find(({ event }) => event === 'volume-started').parent;
  return { files: [summary.filesNew, summary.filesChanged, summary.filesUnmodified], summary, snapshot, parent };
}

/** Paths of the newest snapshot. */
const listed = ({ folder }: Volume): string[] => holdfast(folder, ['ls', 'data', '--recursive']).stdout.split('\n').filter(Boolean);

/** The error of a command that fails. */
function failure({ folder }: Volume, args: readonly string[]): { code: string; exit: number } {
  const { status, stdout, stderr } = holdfast(folder, ['--json', ...args], { exit: [1, 2, 3] });
  const error = documents(stdout + stderr).find(({ event }) => event === 'error');
  assert.ok(error, stdout + stderr);
  return { code: error.error.code, exit: status };
}

const snapshotCount = ({ folder }: Volume): number => holdfastJson(folder, ['snapshots']).length;

test('nothing changed: no file is opened, no blob is stored, and the tree is the same', (t) => {
  const strace = requirePeer(t, 'strace');
  if (!strace) return;
  const files = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`folder ${i % 4}/content-${i}`, `text ${i}`]));
  const place = newVolume(t, files);
  const traced = (name: string) => {
    const log = join(place.folder, name);
    run(strace, ['-f', '-qq', '-e', 'trace=open,openat,openat2', '-o', log, holdfastProgram, '-C', place.folder, 'backup']);
    return readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line.includes('"content-')).length;
  };
  assert.equal(traced('first'), 40);
  assert.equal(traced('second'), 0);
  const { files: counts, summary, snapshot } = backUp(place);
  assert.deepEqual(counts, [0, 0, 40]);
  assert.deepEqual([summary.dataBlobs, summary.treeBlobs, summary.dirsUnmodified], [0, 0, 5]);
  const trees = new Set(holdfastJson(place.folder, ['snapshots']).map(({ tree }) => tree));
  assert.equal(trees.size, 1);
  assert.equal(snapshot.consistency, 'crash');
});

test('a file is changed when its size, mtime, ctime or inode is; ctime and inode can be left out of it', (t) => {
  const place = newVolume(t, { file: 'content' });
  const path = join(place.volume, 'file');
  const old = new Date('2020-02-02T02:02:02Z');
  utimesSync(path, old, old);
  assert.deepEqual(backUp(place).files, [1, 0, 0]);
  assert.deepEqual(backUp(place).files, [0, 0, 1]);

  const sameSizeAndTime = () => {
    writeFileSync(path, 'CONTENT');
    utimesSync(path, old, old);
  };
  sameSizeAndTime();
  assert.deepEqual(backUp(place, '--ignore-ctime').files, [0, 0, 1]);
  sameSizeAndTime();
  assert.deepEqual(backUp(place).files, [0, 1, 0]);

  const replaced = () => {
    copyFileSync(path, `${path}.new`);
    utimesSync(`${path}.new`, old, old);
    renameSync(`${path}.new`, path);
  };
  replaced();
  assert.deepEqual(backUp(place, '--ignore-ctime').files, [0, 1, 0]);
  replaced();
  assert.deepEqual(backUp(place, '--ignore-inode').files, [0, 1, 0]);
  replaced();
  assert.deepEqual(backUp(place, '--ignore-inode', '--ignore-ctime').files, [0, 0, 1]);

  utimesSync(path, old, new Date('2020-02-02T02:02:03Z'));
  assert.deepEqual(backUp(place, '--ignore-inode', '--ignore-ctime').files, [0, 1, 0]);
  writeFileSync(path, 'longer content');
  utimesSync(path, old, new Date('2020-02-02T02:02:03Z'));
  assert.deepEqual(backUp(place, '--ignore-inode', '--ignore-ctime').files, [0, 1, 0]);
  // Without a parent to compare with, everything is new, as with restic.
  assert.deepEqual(backUp(place, '--force').files, [1, 0, 0]);
});

test('a file that becomes a symlink, a folder, and a file again is what it is', (t) => {
  const place = newVolume(t, { thing: 'content', other: 'other' });
  backUp(place);
  const path = join(place.volume, 'thing');
  rmSync(path);
  symlinkSync('other', path);
  backUp(place);
  assert.deepEqual(listed(place), ['other', 'thing']);
  rmSync(path);
  mkdirSync(path);
  writeFileSync(join(path, 'inside'), 'inside');
  backUp(place);
  assert.deepEqual(listed(place), ['other', 'thing', 'thing/inside']);
  rmSync(path, { recursive: true });
  writeFileSync(path, 'content');
  assert.equal(backUp(place).summary.dataBlobs, 0);
  assert.deepEqual(listed(place), ['other', 'thing']);
});

test('the parent is found by project and volume, wherever the volume is mounted and whatever the host is called', (t) => {
  const place = newVolume(t, { file: 'content', 'folder/file': 'content' });
  const first = backUp(place);
  assert.equal(first.parent, undefined);
  const moved = join(place.folder, 'moved');
  renameSync(place.volume, moved);
  projectAt(place.folder, moved);
  const second = backUp(place);
  assert.equal(second.parent, first.snapshot.id);
  assert.deepEqual(second.files, [0, 0, 2]);

  if (process.getuid?.() === 0) {
    const script = 'hostname another-host && exec "$@"';
    const args = ['--uts', 'sh', '-c', script, 'sh', holdfastProgram, '-C', place.folder, '--json', 'backup'];
    const { status, stdout } = run('unshare', args, { exit: [0, 1] });
    if (status === 0) {
      const [, , third] = holdfastJson(place.folder, ['snapshots']);
      assert.equal(third.hostname, 'another-host');
      assert.equal(third.parent, second.snapshot.id);
      assert.deepEqual(snapshotOf(documents(stdout)).summary.filesUnmodified, 2);
    }
  }
  const yaml = join(place.folder, 'holdfast.yaml');
  writeFileSync(yaml, readFileSync(yaml, 'utf8').replace('project: interop', 'project: another'));
  assert.equal(backUp(place).parent, undefined);
});

test('what is excluded is not there: patterns, tag files, cache directories, lost+found at the root alone', (t) => {
  const tag = 'Signature: 8a477f597d28d172789f06886806bc55\n# by a test';
  const place = newVolume(
    t,
    {
      'kept.txt': '',
      'noise.log': '',
      'important.log': '',
      'folder/noise.log': '',
      'folder/deep/kept': '',
      'node_modules/a/b': '',
      'folder/node_modules/c': '',
      'no backup/.nobackup': '',
      'no backup/secret': '',
      'no backup/below/secret': '',
      'kein/.käse': '',
      'kein/secret': '',
      'cache/CACHEDIR.TAG': tag,
      'cache/cached': '',
      'not a cache/CACHEDIR.TAG': 'something else',
      'not a cache/kept': '',
      'lost+found/secret': '',
      'folder/lost+found/kept': '',
      'restic/UPPER.TMP': '',
      'restic/absolute': '',
    },
    ['exclude: ["*.log", "!important.log", "node_modules/"]', 'excludeIfPresent: [".nobackup", ".käse"]', 'excludeCaches: true'],
  );
  backUp(place, '--exclude', '/restic/absolute', '--iexclude', '*.tmp');
  const kept = [
    'cache',
    'cache/CACHEDIR.TAG',
    'folder',
    'folder/deep',
    'folder/deep/kept',
    'folder/lost+found',
    'folder/lost+found/kept',
    'important.log',
    'kein',
    'kein/.käse',
    'kept.txt',
    'no backup',
    'no backup/.nobackup',
    'not a cache',
    'not a cache/CACHEDIR.TAG',
    'not a cache/kept',
    'restic',
  ];
  assert.deepEqual(listed(place), kept);
});

test('another file system in the volume: its mount point is kept, empty, unless asked otherwise', (t) => {
  if (!requireRoot(t)) return;
  const place = newVolume(t, { 'mounted/hidden': 'below the mount', file: 'content' });
  const script = 'mount -t tmpfs none "$1/mounted" && echo other > "$1/mounted/other" || exit 77; shift; exec "$@"';
  const whileMounted = () => {
    const args = ['--mount', 'sh', '-c', script, 'sh', place.volume, holdfastProgram, '-C', place.folder, 'backup'];
    return run('unshare', args, { exit: [0, 1, 77] });
  };
  const { status, stderr } = whileMounted();
  if (status !== 0 && /denied|not permitted|77/.test(stderr + status)) return t.skip('file systems cannot be mounted here');
  assert.equal(status, 0, stderr);
  assert.deepEqual(listed(place), ['file', 'mounted']);
  projectAt(place.folder, place.volume, ['oneFileSystem: false']);
  assert.equal(whileMounted().status, 0);
  assert.deepEqual(listed(place), ['file', 'mounted', 'mounted/other']);
});

test('a volume that is gone is an error, and there is no snapshot', (t) => {
  const place = newVolume(t, { file: 'content' });
  backUp(place);
  rmSync(place.volume, { recursive: true });
  assert.deepEqual(failure(place, ['backup']), { code: 'volume-missing', exit: 1 });
  writeFileSync(place.volume, 'a file');
  assert.deepEqual(failure(place, ['backup']), { code: 'volume-missing', exit: 1 });
  assert.equal(snapshotCount(place), 1);
});

test('a volume that became empty is an error unless confirmed; lost+found does not count', (t) => {
  for (const only of ['file', 'folder', 'link']) {
    const place = newVolume(t, {});
    // Always allowed: it was never anything else.
    assert.equal(backUp(place).summary.totalFilesProcessed, 0);
    if (only === 'file') writeFileSync(join(place.volume, only), '');
    else if (only === 'folder') mkdirSync(join(place.volume, only));
    else symlinkSync('nowhere', join(place.volume, only));
    backUp(place);
    rmSync(join(place.volume, only), { recursive: true });
    mkdirSync(join(place.volume, 'lost+found'));
    assert.deepEqual(failure(place, ['backup']), { code: 'volume-empty', exit: 1 }, only);
    assert.equal(snapshotCount(place), 2);
    backUp(place, '--allow-empty');
    backUp(place);
    assert.equal(snapshotCount(place), 4);
  }
});

test('a volume with an unfinished restore is refused', (t) => {
  for (const marker of ['.holdfast-restore.json', 'part/deep/.holdfast-restore.json']) {
    const place = newVolume(t, { file: 'content', 'part/other': 'content', [marker]: '{}' });
    assert.deepEqual(failure(place, ['backup']), { code: 'restore-unfinished', exit: 1 }, marker);
    assert.equal(snapshotCount(place), 0);
  }
});

test('one volume that fails does not keep another from being saved; the exit code says so', (t) => {
  const place = newVolume(t, { file: 'content' });
  const yaml = join(place.folder, 'holdfast.yaml');
  const missing = '  gone:\n    source: {directory: ./gone}\n';
  writeFileSync(yaml, readFileSync(yaml, 'utf8').replace('volumes:\n', `volumes:\n${missing}`));
  assert.deepEqual(failure(place, ['backup']), { code: 'volume-missing', exit: 1 });
  assert.deepEqual(
    holdfastJson(place.folder, ['snapshots']).map(({ volume }) => volume),
    ['data'],
  );
});

test('a dry run says what it would store, and stores nothing', (t) => {
  const place = newVolume(t, { file: 'content' });
  const before = run('find', [join(place.folder, 'repository'), '-type', 'f']).stdout;
  const { summary, snapshot } = backUp(place, '--dry-run');
  assert.equal(summary.dataAdded > 7, true);
  assert.equal(snapshot.dryRun, true);
  assert.equal(run('find', [join(place.folder, 'repository'), '-type', 'f']).stdout, before);
});

test('access times are left alone by a backup, and recorded when asked', (t) => {
  const place = newVolume(t, { 'folder/file': 'content' });
  const path = join(place.volume, 'folder', 'file');
  utimesSync(path, new Date('2001-01-01T00:00:00Z'), new Date('2002-02-02T00:00:00Z'));
  backUp(place);
  assert.equal(statSync(path).atime.toISOString(), '2001-01-01T00:00:00.000Z');
  assert.equal(backUp(place).summary.treeBlobs, 0);
  assert.equal(backUp(place, '--with-atime').summary.treeBlobs, 2);
  assert.equal(backUp(place).summary.treeBlobs, 0);
});

test('a user without an account, as containers have them, backs up and restores', (t) => {
  if (!requireRoot(t)) return;
  const place = newVolume(t, { file: 'content' });
  run('chown', ['-R', '54320:54321', place.folder]);
  const asStranger = (...args: string[]) =>
    run('setpriv', ['--reuid', '54320', '--regid', '54321', '--clear-groups', holdfastProgram, '-C', place.folder, ...args], {
      environment: { HOME: place.folder },
    });
  asStranger('backup');
  asStranger('restore', 'data', '--to', join(place.folder, 'copy'));
  assert.equal(readFileSync(join(place.folder, 'copy', 'file'), 'utf8'), 'content');
  assert.equal(holdfastJson(place.folder, ['snapshots'])[0].username, '54320');
});

test('after any change, the tree is what reading everything anew makes, and so are the kinds of files', (t) => {
  const place = newVolume(t, { 'a/one': '1', 'a/two': '2', 'b/deep/three': '3', 'b/deep/four': '4', 'c/five': '5' });
  const at = (path: string) => join(place.volume, path);
  write(place.volume, { 'a/x.TXT': '', 'b/deep/y.txt': 'y', 'c/z.jpg': 'z', 'c/d/z.xyz': '' });
  mkdirSync(at('empty'));
  symlinkSync('one', at('a/link'));
  backUp(place);
  assert.equal(holdfastJson(place.folder, ['snapshots'])[0].kinds, '=5 txt=2 jpg=1 xyz=1');
  const changes: Record<string, () => void> = {
    nothing: () => undefined,
    'a mode deep down': () => chmodSync(at('b/deep/three'), 0o600),
    'a mode of a directory': () => chmodSync(at('b/deep'), 0o700),
    'a file more': () => writeFileSync(at('b/six'), '6'),
    'a file less': () => rmSync(at('a/two')),
    'one for another': () => renameSync(at('a/one'), at('a/seven')),
    'a link that points elsewhere': () => {
      rmSync(at('a/link'));
      symlinkSync('seven', at('a/link'));
    },
    'an mtime set back': () => utimesSync(at('c/five'), 1, 1),
    'the same size again': () => writeFileSync(at('c/five'), '9'),
    'an empty directory gone': () => rmSync(at('empty'), { recursive: true }),
    'a directory emptied': () => rmSync(at('b/deep'), { recursive: true }),
    'all of a directory replaced': () => {
      rmSync(at('c/five'));
      writeFileSync(at('c/eight'), '8');
    },
  };
  for (const [what, change] of Object.entries(changes)) {
    change();
    const { id } = backUp(place).snapshot;
    const forced = backUp(place, '--force').snapshot.id;
    const made = new Map(holdfastJson(place.folder, ['snapshots']).map(({ id, tree, kinds }) => [id, { tree, kinds }]));
    assert.deepEqual(made.get(id), made.get(forced), what);
  }
});
