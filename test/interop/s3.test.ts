/** One repository in S3, Holdfast and restic on it, both ways; and a backup that may not delete. */
import assert from 'node:assert/strict';
import { appendFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { HeadObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { createS3Storage } from '../../src/storage/s3.ts';
import { randomBytes } from '../awkward-tree.ts';
import { requirePeer, requireRestic, scratch } from '../peers.ts';
import { differences, documents, restic, holdfast as runHoldfast } from '../programs.ts';
import { requireS3, serveS3, useCredentials } from '../s3-server.ts';

/** With a cache of its own. */
const holdfast = (folder: string, args: string[], exit = [0]) =>
  runHoldfast(folder, args, { exit, environment: { XDG_CACHE_HOME: join(folder, 'cache') } });

if (requireS3()) {
  const { endpoint, owner, client, addUser, allow } = await serveS3({ after: (end) => after(end as () => void) });

  /** A volume of a few directories, and a project whose repository is a bucket. */
  function projectIn(t: TestContext, bucket: string) {
    useCredentials(t, owner);
    const folder = scratch(t);
    const volume = join(folder, 'volume');
    mkdirSync(volume);
    writeFileSync(join(volume, 'large'), randomBytes(20_000_000));
    cpSync(join(import.meta.dirname, '..', '..', 'docs'), join(volume, 'docs'), { recursive: true });
    const repository = `s3:${endpoint}/${bucket}/the/prefix`;
    const settings = `project: interop\nvolumes:\n  data: {source: {directory: ${volume}}}\nrepositories:\n  s3: {url: '${repository}', passwordFile: ./key}\n`;
    writeFileSync(join(folder, 'holdfast.yaml'), settings);
    const passwordFile = join(folder, 'key');
    writeFileSync(passwordFile, 'holdfast-key-of-the-tests\n', { mode: 0o600 });
    return { volume, project: { folder, repository, passwordFile } };
  }

  test('restic checks and restores what Holdfast stored in S3, and the other way round', (t) => {
    const [stock, newest] = [requireRestic(t, 'stock'), requireRestic(t, 'newest')];
    const rsync = requirePeer(t, 'rsync');
    if (!stock || !newest || !rsync) return;
    const { volume, project } = projectIn(t, 'both');
    const { folder } = project;
    holdfast(folder, ['init']);
    holdfast(folder, ['backup']);
    for (const program of [stock, newest]) {
      const copy = join(folder, `by ${program.name}`);
      restic(program, project, ['check', '--read-data']);
      restic(program, project, ['restore', 'latest', '--target', copy]);
      assert.equal(differences(rsync, volume, copy), '');
    }

    appendFileSync(join(volume, 'large'), 'more');
    restic(newest, project, ['backup', '.'], { cwd: volume });
    holdfast(folder, ['check', '--read-data']);
    const latest = documents(restic(newest, project, ['snapshots', '--json']).stdout)[0].at(-1).id;
    // Volumes of another program's snapshots have the names of their directories.
    holdfast(folder, ['restore', '--at', latest, '--to', join(folder, 'by Holdfast')]);
    assert.equal(differences(rsync, volume, join(folder, 'by Holdfast', 'volume')), '');
  });

  test('a backup that may not delete works; what it stored stays', async (t) => {
    const { volume, project } = projectIn(t, 'append-only');
    const { folder } = project;
    const storage = createS3Storage({ url: project.repository });
    t.after(() => storage.close?.());
    await storage.create();
    const user = addUser('appender');
    await allow('append-only', user, [
      { Action: ['s3:ListBucket'], Resource: ['arn:aws:s3:::append-only'] },
      { Action: ['s3:GetObject', 's3:PutObject'], Resource: ['arn:aws:s3:::append-only/the/prefix/*'] },
      { Action: ['s3:DeleteObject'], Resource: ['arn:aws:s3:::append-only/the/prefix/locks/*'] },
    ]);
    useCredentials(t, user);
    const keys = async () => (await client.send(new ListObjectsV2Command({ Bucket: 'append-only' }))).Contents?.map(({ Key }) => Key) ?? [];

    holdfast(folder, ['init']);
    holdfast(folder, ['backup']);
    const before = await keys();
    appendFileSync(join(volume, 'large'), 'more');
    holdfast(folder, ['backup']);
    const now = await keys();
    assert.deepEqual(
      before.filter((key) => !now.includes(key)),
      [],
    );
    assert.ok(!now.some((key) => key?.includes('/locks/')));
    const oldest =
      before
        .find((key) => key?.includes('/snapshots/'))
        ?.split('/')
        .at(-1) ?? '';
    const { stderr } = holdfast(folder, ['forget', oldest, '--force'], [1]);
    assert.match(stderr, /AccessDenied/);
    assert.deepEqual(await keys(), now);
  });

  test('prune extends the object locks of what stays, and what it removed is not needed', async (t) => {
    const { volume, project } = projectIn(t, 'locked');
    const { folder } = project;
    const settings = (retainDays: number) => {
      const text = readFileSync(join(folder, 'holdfast.yaml'), 'utf8').replace(/, options: .*\}\}/, '}');
      const options = `, options: {objectLock: governance, retainDays: '${retainDays}'}}`;
      writeFileSync(join(folder, 'holdfast.yaml'), text.replace(/\}\n$/, `${options}\n`));
    };
    settings(1);
    holdfast(folder, ['init']);
    holdfast(folder, ['backup']);
    writeFileSync(join(volume, 'large'), randomBytes(20_000_000));
    holdfast(folder, ['backup']);
    const [oldest] = documents(holdfast(folder, ['snapshots', '--json']).stdout) as { id: string }[];
    holdfast(folder, ['forget', oldest?.id ?? '', '--force']);
    // A longer term: all locks end before half of it.
    settings(30);
    const renewed = documents(holdfast(folder, ['prune', '--json']).stdout).find(({ event }) => event === 'locks-renewed');
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: 'locked' }));
    const [pack] = Contents.filter(({ Key }) => Key?.includes('/data/'));
    const { ObjectLockRetainUntilDate: until } = await client.send(new HeadObjectCommand({ Bucket: 'locked', Key: pack?.Key }));
    assert.ok((until?.getTime() ?? 0) > Date.now() + 29 * 24 * 60 * 60 * 1000, String(until));
    assert.equal(renewed?.files, Contents.length);
    holdfast(folder, ['check', '--read-data']);
  });
}
