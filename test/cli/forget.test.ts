import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { exitCodes } from '../../src/model/errors.ts';
import { type SnapshotIdentity, type SnapshotSummary, type StoredSnapshot, tagsFromIdentity } from '../../src/model/snapshot.ts';
import { openRepository } from '../../src/repository/repository.ts';
import { saveSnapshot } from '../../src/repository/snapshots.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { commandLine, type Said } from '../command-line.ts';
import { scratch } from '../peers.ts';
import { aSnapshot, timeOf } from '../snapshot-histories.ts';

const dayMs = 86_400_000;
/** Two days ago: nothing that a test makes up is of the future. */
const noon = Math.floor(Date.now() / dayMs) * dayMs - 1.5 * dayMs;
const dayOf = (daysBefore: number) => new Date(noon - daysBefore * dayMs).toISOString().slice(0, 10);

const noCounts: SnapshotSummary = {
  backupStart: '',
  backupEnd: '',
  filesNew: 0,
  filesChanged: 0,
  filesUnmodified: 0,
  dirsNew: 0,
  dirsChanged: 0,
  dirsUnmodified: 0,
  dataBlobs: 0,
  treeBlobs: 0,
  dataAdded: 0,
  dataAddedPacked: 0,
  totalFilesProcessed: 0,
  totalBytesProcessed: 0,
};

type Given = Partial<SnapshotIdentity> & { files?: number; bytes?: number; snapshot?: Partial<StoredSnapshot> };

/** A project `shop` with the volumes `data` and `other`, whose snapshots a test makes up, oldest first. */
async function shop(t: TestContext, retention = '') {
  const folder = scratch(t);
  mkdirSync(join(folder, 'data'));
  const holdfast = commandLine(folder);
  const made = await holdfast('init', '--volume', 'data=data');
  assert.equal(made.exit, exitCodes.done, made.stderr);
  const configuration = `project: shop\nvolumes:\n  data: { source: { directory: ./data } }\n  other: { source: { directory: ./data } }\n`;
  writeFileSync(join(folder, 'holdfast.yaml'), `${configuration}${retention}`);
  const storage = createLocalStorage(join(folder, 'holdfast-repository'));
  const password = Buffer.from(readFileSync(join(folder, 'holdfast.key'), 'utf8').trim());
  const repository = await openRepository(storage, password);
  const add = ({ files = 1000, bytes = 1e8, snapshot = {}, ...identity }: Given, timeMs: number) => {
    const whose: SnapshotIdentity = { project: 'shop', volume: 'data', run: 'r', class: 'scheduled', consistency: 'crash', ...identity };
    const time = timeOf(timeMs);
    const summary = { ...noCounts, backupStart: time, backupEnd: time, totalFilesProcessed: files, totalBytesProcessed: bytes };
    return saveSnapshot(repository, aSnapshot({ time, tags: tagsFromIdentity(whose), summary, ...snapshot }));
  };
  const addDays = async (count: number, given: Given = {}, fromMs = noon) => {
    const ids: string[] = [];
    for (let day = 0; day < count; day++) ids.push(await add(given, fromMs - (count - 1 - day) * dayMs));
    return ids;
  };
  return { folder, holdfast, add, addDays, ids: () => readdirSync(join(folder, 'holdfast-repository/snapshots')).sort() };
}

const documents = (said: Said) =>
  said.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

test('holdfast.yaml decides, volume by volume; a dry run says why and removes nothing', async (t) => {
  const { holdfast, addDays, ids } = await shop(t, 'retention: { hourly: 0, daily: 2, weekly: 0, monthly: 0 }\n');
  const data = await addDays(4);
  const other = await addDays(3, { volume: 'other', class: 'manual' });
  const foreign = await addDays(3, { project: 'another' });

  const dry = await holdfast('forget', '--dry-run');
  assert.equal(dry.exit, exitCodes.done, dry.stderr);
  assert.match(dry.stdout, /^ID +TIME +VOLUME +CLASS +ACTION +WHY\n/);
  assert.match(dry.stdout, new RegExp(`${dayOf(0)}T12:00:00Z +data +scheduled +keep +last, daily ${dayOf(0)}\\n`));
  assert.match(dry.stdout, new RegExp(`${dayOf(2)}T12:00:00Z +data +scheduled +forget +no rule keeps it\\n`));
  assert.match(dry.stdout, /other +manual +keep +manual, at most 90d old\n/);
  assert.match(dry.stdout, /\n2 snapshots would be forgotten, 5 kept\n$/);
  assert.equal(ids().length, 10);

  const done = await holdfast('forget', '--json');
  assert.equal(done.exit, exitCodes.done, done.stderr);
  const said = documents(done);
  assert.deepEqual(said.at(-1), { forgotten: 2, kept: 5, held: 0, failed: 0, dryRun: false });
  assert.deepEqual(said[2].action, 'forget');
  assert.deepEqual(ids(), [...data.slice(2), ...other, ...foreign].sort());
  assert.match((await holdfast('forget')).stdout, /^0 snapshots forgotten, 5 kept\n$/);
});

test('--keep options replace the policy; filters choose; others stay', async (t) => {
  const { holdfast, addDays, ids } = await shop(t);
  const data = await addDays(5);
  const other = await addDays(3, { volume: 'other', snapshot: { hostname: 'elsewhere' } });
  const none = await holdfast('forget');
  assert.match(none.stdout, /^0 snapshots forgotten, 8 kept/);
  const said = await holdfast('forget', '--keep-daily', '2', '--volume', 'data');
  assert.equal(said.exit, exitCodes.done, said.stderr);
  assert.match(said.stderr, /run `holdfast prune`/);
  assert.deepEqual(ids(), [...data.slice(3), ...other].sort());
  await holdfast('forget', '--keep-last', '1', '--host', 'nowhere');
  assert.equal(ids().length, 5);
  await holdfast('forget', '--keep-last', '1', '--host', 'elsewhere');
  assert.deepEqual(ids(), [...data.slice(3), other[2]].sort());
});

test('a policy that keeps nothing, no policy, and words that are none are mistakes', async (t) => {
  const { folder, holdfast, addDays, ids } = await shop(t);
  await addDays(2);
  const wrong = async (expected: RegExp, ...argv: string[]) => {
    const { exit, stderr } = await holdfast('forget', ...argv);
    assert.equal(exit, exitCodes.usage, argv.join(' '));
    assert.match(stderr, expected);
  };
  await wrong(/would keep nothing/, '--keep-last', '0');
  await wrong(/would keep nothing/, '--keep-within', '0d');
  await wrong(/--keep-daily takes a whole number/, '--keep-daily', 'many');
  await wrong(/--keep-within-daily takes a time/, '--keep-within-daily', '7');
  await wrong(/--keep-manual takes a duration/, '--keep-manual', 'long');
  await wrong(/--group-by takes/, '--keep-last', '1', '--group-by', 'moon');
  await wrong(/not both/, 'abcd', '--volume', 'data');
  await wrong(/not both/, 'abcd', '--keep-last', '1');
  rmSync(join(folder, 'holdfast.yaml'));
  const bare = await holdfast('forget', '--repository', 'holdfast-repository', '--password-file', 'holdfast.key');
  assert.equal(bare.exit, exitCodes.usage);
  assert.match(bare.stderr, /no policy was given/);
  assert.equal(ids().length, 2);
});

test('the brake holds good snapshots while new ones look wrong, and says so; --force overrides it', async (t) => {
  const { holdfast, addDays, ids } = await shop(t);
  const good = await addDays(10, {}, noon - 10 * dayMs);
  const empty = await addDays(10, { files: 0, bytes: 0 });
  const said = await holdfast('forget', '--keep-daily', '3');
  assert.equal(said.exit, exitCodes.done, said.stderr);
  assert.match(
    said.stderr,
    /shop\/data: the brake holds 3 snapshots that would be forgotten, because others look wrong: \w{8} \(empty\), and 9 more/,
  );
  assert.match(said.stdout, /14 snapshots forgotten, 6 kept \(3 by the brake\)/);
  assert.deepEqual(ids(), [...good.slice(7), ...empty.slice(7)].sort());

  const [document] = documents(await holdfast('forget', '--keep-daily', '3', '--dry-run', '--json')).slice(3);
  assert.deepEqual(document.held, true);
  assert.deepEqual(document.reasons, ['held: the newest good snapshot', `held: daily ${dayOf(10)}, without those that look wrong`]);

  const forced = await holdfast('forget', '--keep-daily', '3', '--force');
  assert.equal(forced.exit, exitCodes.done);
  assert.match(forced.stderr, /--force: 3 snapshots that the brake would hold go/);
  assert.deepEqual(ids(), empty.slice(7).sort());
});

test('who confirms a snapshot ends the hold', async (t) => {
  const { holdfast, addDays, ids } = await shop(t);
  await addDays(5, {}, noon - 5 * dayMs);
  const small = await addDays(5, { bytes: 1e6 });
  assert.match((await holdfast('forget', '--keep-daily', '3')).stderr, /holds 3 snapshots/);
  const confirmed = await holdfast('tag', small[2] as string, '--add', 'brake=good');
  assert.equal(confirmed.exit, exitCodes.done, confirmed.stderr);
  const said = await holdfast('forget', '--keep-daily', '3');
  assert.equal(said.stderr.includes('brake'), false, said.stderr);
  assert.equal(ids().length, 3);
});

test('the brake of holdfast.yaml can be set, and switched off', async (t) => {
  const { folder, holdfast, addDays } = await shop(t, 'retention: { brake: { shrink: 1 } }\n');
  await addDays(5, {}, noon - 5 * dayMs);
  await addDays(5, { bytes: 2e6, files: 20 });
  assert.match((await holdfast('forget', '--keep-daily', '3', '--dry-run')).stdout, /7 snapshots would be forgotten, 3 kept\n/);
  const file = join(folder, 'holdfast.yaml');
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace('shrink: 1', 'shrink: 5'));
  assert.match((await holdfast('forget', '--keep-daily', '3', '--dry-run')).stdout, /6 kept \(3 by the brake\)\n/);
  writeFileSync(file, text.replace('shrink: 1', 'shrink: 5, enabled: false'));
  assert.match((await holdfast('forget', '--keep-daily', '3', '--dry-run')).stdout, /7 snapshots would be forgotten, 3 kept\n/);
  // A tag that no snapshot has is a slip.
  const slip = await holdfast('forget', '--keep-tag', 'prdo', '--dry-run');
  assert.match(slip.stdout, /9 snapshots would be forgotten, 1 kept \(1 by the brake\)\n/);
});

test('named snapshots go whatever the policy says, but for the newest good one of a volume', async (t) => {
  const { holdfast, addDays, ids } = await shop(t);
  const [first, second, third] = (await addDays(3)) as [string, string, string];
  const said = await holdfast('forget', first.slice(0, 12), third);
  assert.equal(said.exit, exitCodes.failed, 'not all that was asked for was done');
  assert.match(said.stderr, /the newest good one stays; --force lets it go/);
  assert.deepEqual(ids(), [second, third].sort());
  assert.equal((await holdfast('forget', second)).exit, exitCodes.done);
  assert.equal((await holdfast('forget', third, '--force')).exit, exitCodes.done);
  assert.deepEqual(ids(), []);
  const missing = await holdfast('forget', 'abcdef');
  assert.equal(missing.exit, exitCodes.failed);
  assert.match(missing.stderr, /no snapshot has an id/);
});

test('a damaged snapshot file is left alone', async (t) => {
  const { folder, holdfast, addDays, ids } = await shop(t);
  const data = await addDays(3);
  const damaged = join(folder, 'holdfast-repository/snapshots', data[0] as string);
  chmodSync(damaged, 0o600);
  writeFileSync(damaged, 'nonsense');
  const said = await holdfast('forget', '--keep-last', '1');
  assert.equal(said.exit, exitCodes.done, said.stderr);
  assert.match(said.stderr, /is damaged, and left alone/);
  assert.deepEqual(ids(), [data[0], data[2]].sort());
});

test('--prune prunes when something was forgotten', async (t) => {
  const { folder, holdfast, ids } = await shop(t);
  for (const content of ['a', 'b']) {
    writeFileSync(join(folder, 'data', 'file'), content.repeat(5000));
    const backup = await holdfast('backup', 'data', '--class', 'scheduled');
    assert.equal(backup.exit, exitCodes.done, backup.stderr);
  }
  const dry = await holdfast('forget', '--keep-last', '1', '--prune', '--dry-run');
  assert.match(dry.stderr, /known once the snapshots are gone/);
  const said = await holdfast('forget', '--keep-last', '1', '--prune');
  assert.equal(said.exit, exitCodes.done, said.stderr);
  assert.match(said.stdout, /1 snapshot forgotten, 1 kept\n[\s\S]*freed: [1-9]/);
  assert.equal(ids().length, 1);
  assert.equal((await holdfast('check', '--read-data')).exit, exitCodes.done);
});

test('what somebody has written into a snapshot moves no cursor, and breaks no line', async (t) => {
  const { holdfast, addDays } = await shop(t);
  const hostile = 'x\u001b[2J\u009b\nFAKE' as SnapshotIdentity['class'];
  await addDays(2, { volume: hostile, class: hostile, snapshot: { hostname: hostile, username: hostile } });
  const { stdout, stderr } = await holdfast('forget', '--keep-last', '1', '--dry-run');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is looked for
  assert.doesNotMatch(stdout + stderr, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]|^FAKE/m);
  assert.match(stdout, /FAKE/);
});
