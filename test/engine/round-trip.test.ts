/** Everything a POSIX volume can hold, to a repository and back. rsync is the judge; what it doesn't see is compared here. */
import assert from 'node:assert/strict';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { linkAt, mknodAt, symlinkAt, utimensAt } from '../../src/engine/source/posix-change.ts';
import { close } from '../../src/engine/source/posix-open.ts';
import { Stat, statFd } from '../../src/engine/source/posix-stat.ts';
import { listXattrsFd, setXattrFd } from '../../src/engine/source/posix-xattr.ts';
import {
  bytes,
  compareTrees,
  describeTree,
  makeAwkwardTree,
  makeFile,
  makeFolder,
  makeText,
  must,
  openFolder,
  randomBytes,
  raw,
} from '../awkward-tree.ts';
import { peer, requirePeer, requireRoot, scratch } from '../peers.ts';
import { type Document, differences, documents, holdfast, holdfastJson, holdfastProgram, projectAt, run } from '../programs.ts';

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

type Volume = { folder: string; volume: string; copy: string };

function newVolume(t: TestContext, folder = scratch(t)): Volume {
  const volume = join(folder, 'volume');
  mkdirSync(volume);
  projectAt(folder, volume);
  holdfast(folder, ['init']);
  return { folder, volume, copy: join(folder, 'copy') };
}

/** Works in an open directory. */
function inside<Result>(path: string, work: (fd: number) => Result): Result {
  const fd = openFolder(path);
  try {
    return work(fd);
  } finally {
    close(fd);
  }
}

/** There and back. */
function roundTrip({ folder, copy }: Volume): { backup: Document; restored: Document } {
  const backup = holdfastJson(folder, ['backup']).find(({ event }) => event === 'snapshot');
  const restored = holdfastJson(folder, ['restore', 'data', '--to', copy]).find(({ event }) => event === 'restored');
  return { backup, restored };
}

const assertSame = (original: string, copy: string) => assert.deepEqual(compareTrees(describeTree(original), describeTree(copy)), []);

test('everything awkward comes back as it was, also where rsync does not look', (t) => {
  const rsync = requirePeer(t, 'rsync');
  if (!rsync || !requirePeer(t, 'setfacl') || !requirePeer(t, 'setcap') || !requireRoot(t)) return;
  const place = newVolume(t);
  makeAwkwardTree(place.volume, { asRoot: true });
  const { backup } = roundTrip(place);
  assert.equal(backup.unreadable, 0);
  assert.equal(differences(rsync, place.volume, place.copy), '');
  assertSame(place.volume, place.copy);
  // And once more over what is there: nothing to do.
  const again = holdfastJson(place.folder, ['restore', 'data', '--to', place.copy, '--verify']).find(({ event }) => event === 'restored');
  assert.equal(again.result.filesRestored, 0);
  assert.equal(again.result.bytesWritten, 0);
  assertSame(place.volume, place.copy);
});

test("the root's own mode, owner, times and attributes come back", (t) => {
  if (!requireRoot(t)) return;
  const place = newVolume(t);
  writeFileSync(join(place.volume, 'file'), 'content');
  chownSync(place.volume, 1234, 4321);
  chmodSync(place.volume, 0o3751);
  const look = (path: string) =>
    inside(path, (fd) => {
      const stat = new Stat();
      must(statFd(fd, stat));
      const { mode, uid, gid, mtimeSec, mtimeNsec } = stat;
      return { mode, uid, gid, mtimeSec, mtimeNsec, attributes: listXattrsFd(fd) };
    });
  inside(place.volume, (fd) => must(setXattrFd(fd, 'user.of-the-root', Buffer.from('value'))));
  inside(place.folder, (fd) => must(utimensAt(fd, raw('volume'), 1, 2, 1_300_000_000, 123_456_789)));
  const before = look(place.volume);
  roundTrip(place);
  assert.deepEqual(look(place.copy), before);
});

test('hard links between FIFOs come back', (t) => {
  const place = newVolume(t);
  inside(place.volume, (fd) => {
    must(mknodAt(fd, raw('fifo'), 0o010644, 0));
    must(linkAt(fd, raw('fifo'), fd, raw('fifo again')));
  });
  roundTrip(place);
  assertSame(place.volume, place.copy);
});

test('sockets are left out, silently: they mean nothing without their process', (t) => {
  const place = newVolume(t);
  inside(place.volume, (fd) => must(mknodAt(fd, raw('socket'), 0o140644, 0)));
  writeFileSync(join(place.volume, 'file'), 'content');
  const { backup } = roundTrip(place);
  assert.equal(backup.unreadable, 0);
  assert.deepEqual(readdirSync(place.copy), ['file']);
});

test('100 GiB of holes with 1 MiB of data takes seconds, there and back', (t) => {
  const place = newVolume(t);
  const pieces = [7 * GiB + 123, 63 * GiB, 99 * GiB + 511].map((at) => ({ at, content: randomBytes(349_525) }));
  inside(place.volume, (fd) => makeFile(fd, raw('disk image'), pieces, 100 * GiB));
  const startedMs = performance.now();
  const { backup, restored } = roundTrip(place);
  assert.ok(performance.now() - startedMs < 60_000, 'it takes seconds, with room for a busy machine');
  assert.equal(backup.summary.totalBytesProcessed, 100 * GiB);
  // The list of 200,000 times the same chunk is all that it costs.
  assert.ok(backup.summary.dataBlobs < 20, `${backup.summary.dataBlobs}`);
  assert.ok(backup.summary.dataAddedPacked < 4 * MiB, `${backup.summary.dataAddedPacked}`);
  assert.equal(restored.result.bytesTotal, 100 * GiB);
  assertSame(place.volume, place.copy);
});

test('a file with data on both sides of 4 GiB', (t) => {
  const place = newVolume(t);
  const across = [2 ** 31 - 1000, 2 ** 32 - 700_000].map((at) => ({ at, content: randomBytes(MiB + 400_000) }));
  inside(place.volume, (fd) => makeFile(fd, raw('large'), across, 4 * GiB + 5 * MiB + 1));
  roundTrip(place);
  assertSame(place.volume, place.copy);
});

/** Where making many files is quick, if there is such a place. */
function scratchInMemory(t: TestContext): string {
  if (!existsSync('/dev/shm')) return scratch(t);
  const folder = mkdtempSync('/dev/shm/holdfast-');
  t.after(() => run('rm', ['-rf', folder]));
  return folder;
}

test('a directory of 200,000 entries', (t) => {
  const place = newVolume(t, scratchInMemory(t));
  const count = 200_000;
  inside(place.volume, (fd) => {
    for (let i = 0; i < count; i++) must(mknodAt(fd, raw(`entry ${i}`), 0o100640, 0));
    makeText(fd, raw('the last'), 'with content');
  });
  const { backup, restored } = roundTrip(place);
  assert.equal(backup.summary.totalFilesProcessed, count + 1);
  assert.equal(restored.result.filesTotal, count + 1);
  assert.deepEqual(readdirSync(place.copy).sort(), readdirSync(place.volume).sort());
  assert.equal(readFileSync(join(place.copy, 'the last'), 'utf8'), 'with content');
  const unchanged = holdfastJson(place.folder, ['backup']).find(({ event }) => event === 'snapshot');
  assert.equal(unchanged.summary.filesUnmodified, count + 1);
  assert.equal(unchanged.summary.treeBlobs, 0);
});

test('a path deeper than PATH_MAX, with names of 255 bytes', (t) => {
  const place = newVolume(t);
  const descend = (fd: number, levels: number): void => {
    makeText(fd, bytes(`file \xff ${levels}`), `${levels}`);
    must(symlinkAt(raw('..'), fd, raw('link')));
    if (levels > 0) makeFolder(fd, raw(`${levels}-`.padEnd(255, 'd')), (below) => descend(below, levels - 1));
  };
  inside(place.volume, (fd) => descend(fd, 40));
  roundTrip(place);
  const original = describeTree(place.volume);
  assert.ok(Math.max(...[...original.keys()].map((path) => path.length)) > 2 * 4096);
  assertSame(place.volume, place.copy);
  // Nothing changes when it is done again, in place.
  holdfast(place.folder, ['restore', 'data', '--to', place.copy, '--delete']);
  assertSame(place.volume, place.copy);
});

const ordinary = 65_534;

/** Runs the command as an ordinary user who owns the folder. */
function asOrdinaryUser(folder: string, args: readonly string[], exit: readonly number[]): Document[] {
  const setpriv = ['--reuid', `${ordinary}`, '--regid', `${ordinary}`, '--clear-groups', '--inh-caps=-all'];
  const { stdout } = run('setpriv', [...setpriv, holdfastProgram, '--directory', folder, '--json', ...args], {
    exit,
    environment: { HOME: folder },
  });
  return documents(stdout);
}

/** Whether another user gets to the program and to the folder at all. */
function ordinaryUserCanRun(t: TestContext, folder: string): boolean {
  if (!requireRoot(t)) return false;
  const { status } = run(
    'setpriv',
    ['--reuid', `${ordinary}`, '--regid', `${ordinary}`, '--clear-groups', 'test', '-x', holdfastProgram, '-a', '-w', folder],
    {
      exit: [0, 1],
    },
  );
  if (status !== 0) t.skip('the checkout or the temporary folder is out of reach for an ordinary user');
  return status === 0;
}

test('as an ordinary user: what cannot be read is reported, the rest is saved, and the exit code is 3', (t) => {
  const place = newVolume(t);
  run('chown', ['-R', `${ordinary}:${ordinary}`, place.folder]);
  if (!ordinaryUserCanRun(t, place.folder)) return;
  mkdirSync(join(place.volume, 'closed'));
  for (const name of ['of others', 'readable', 'closed/inside']) writeFileSync(join(place.volume, name), name);
  for (const name of ['of others', 'closed/inside']) chmodSync(join(place.volume, name), 0o600);
  chmodSync(join(place.volume, 'closed'), 0o700);
  const events = asOrdinaryUser(place.folder, ['backup'], [3]);
  const problems = events.filter(({ event }) => event === 'file-problem').map(({ file, problem }) => `${file}: ${problem}`);
  assert.deepEqual(problems.sort(), ['closed: unreadable', 'of others: unreadable']);
  assert.equal(events.find(({ event }) => event === 'snapshot').unreadable, 2);
  assert.equal(events.at(-1).exitCode, 3);
  holdfast(place.folder, ['restore', 'data', '--to', place.copy]);
  assert.equal(readFileSync(join(place.copy, 'readable'), 'utf8'), 'readable');
  assert.deepEqual(readdirSync(place.copy), ['readable']);
});

test('restored by an ordinary user: the data is there, what could not be set is said once a kind with counts, exit code 3', (t) => {
  const place = newVolume(t);
  for (const name of ['first', 'second', 'third']) writeFileSync(join(place.volume, name), name);
  chownSync(join(place.volume, 'first'), 1234, 1234);
  chownSync(join(place.volume, 'second'), 1235, 1235);
  chownSync(join(place.volume, 'third'), ordinary, ordinary);
  chownSync(place.volume, ordinary, ordinary);
  holdfast(place.folder, ['backup']);
  run('chown', ['-R', `${ordinary}:${ordinary}`, place.folder]);
  if (!ordinaryUserCanRun(t, place.folder)) return;
  const events = asOrdinaryUser(place.folder, ['restore', 'data', '--to', place.copy], [3]);
  const warnings = events.filter(({ event }) => event === 'warning');
  assert.equal(warnings.length, 1, JSON.stringify(warnings));
  assert.match(warnings[0].warning, /owner/);
  assert.equal(warnings[0].count, 2);
  for (const name of ['first', 'second', 'third']) assert.equal(readFileSync(join(place.copy, name), 'utf8'), name);
  assert.equal(statSync(join(place.copy, 'first')).uid, ordinary);
});

test('on a file system without attributes the data is restored; each kind is said once with counts, exit code 3', (t) => {
  if (!requireRoot(t) || !requirePeer(t, 'setfacl')) return;
  const place = newVolume(t);
  for (const name of ['first', 'second']) {
    writeFileSync(join(place.volume, name), name);
    run('setfattr', ['-n', 'user.key', '-v', 'value', join(place.volume, name)]);
  }
  run(peer('setfacl') as string, ['-m', 'u:1234:r', join(place.volume, 'first')]);
  holdfast(place.folder, ['backup']);
  mkdirSync(place.copy);
  // ramfs has no extended attributes. What is mounted in a name space of its own goes away with the command.
  const script =
    'mount -t ramfs none "$2" || exit 77; "$1" --directory "$3" --json restore data --to "$2"; code=$?; cat "$2/first" "$2/second" >&2; exit $code';
  const { status, stdout, stderr } = run('unshare', ['--mount', 'sh', '-c', script, 'sh', holdfastProgram, place.copy, place.folder], {
    exit: [0, 1, 3, 77],
  });
  if (status === 77 || /unshare failed|Operation not permitted/.test(stderr)) return t.skip('file systems cannot be mounted here');
  const warnings = documents(stdout).filter(({ event }) => event === 'warning');
  assert.match(stderr, /firstsecond/);
  assert.ok(warnings.length >= 1 && warnings.length <= 2, JSON.stringify(warnings));
  assert.equal(
    warnings.reduce((sum, { count }) => sum + count, 0),
    3,
  );
  assert.equal(status, 3);
});
