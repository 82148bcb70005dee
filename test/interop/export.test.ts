/** `export`: archives that tar alone unpacks to what was there, encrypted ones after age; cut ones are no archives. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createRepository } from '../../src/repository/repository.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { makeAwkwardTree } from '../awkward-tree.ts';
import { requirePeer, scratch } from '../peers.ts';
import { differences, documents, holdfast, holdfastProgram, run } from '../programs.ts';
import { scratchOptions } from '../scratch-repository.ts';

const asRoot = process.getuid?.() === 0;

type Exported = { folder: string; volumes: string; rsync: string };

/** A project with a volume of everything, an empty one and a sensitive one, backed up. */
async function setUp(t: TestContext): Promise<Exported | undefined> {
  const rsync = requirePeer(t, 'rsync');
  if (!rsync || !requirePeer(t, 'setfacl') || !requirePeer(t, 'setcap')) return undefined;
  const folder = scratch(t);
  const volumes = join(folder, 'volumes');
  for (const name of ['data', 'empty', 'secret']) mkdirSync(join(volumes, name), { recursive: true });
  makeAwkwardTree(join(volumes, 'data'), { asRoot });
  writeFileSync(join(volumes, 'secret', 'token'), 'T0KEN-T0KEN-T0KEN');
  const volume = (name: string, more = '') => `  ${name}: {source: {directory: ${JSON.stringify(join(volumes, name))}}${more}}\n`;
  writeFileSync(
    join(folder, 'holdfast.yaml'),
    `project: shop\nvolumes:\n${volume('data')}${volume('empty')}${volume('secret', ', sensitive: true')}repositories:\n  local: {url: ./repository, passwordFile: ./key}\n`,
  );
  // A key that is cheap to open: it is opened again and again.
  writeFileSync(join(folder, 'key'), 'password of the tests\n', { mode: 0o600 });
  await createRepository(createLocalStorage(join(folder, 'repository')), {
    ...scratchOptions,
    password: Buffer.from('password of the tests'),
  });
  holdfast(folder, ['backup']);
  return { folder, volumes, rsync };
}

function unpacked(folder: string, ...options: string[]): string {
  mkdirSync(folder);
  run('tar', ['-xpf', ...options, '-C', folder, '--xattrs', '--xattrs-include=*', '--acls']);
  return folder;
}

test('export', async (t) => {
  const project = await setUp(t);
  if (project === undefined) return;
  const { folder, volumes, rsync } = project;

  for (const name of ['all.tar.gz', 'all.tar.zst']) {
    await t.test(`${name}: tar unpacks what the volumes held`, { skip: !asRoot && 'needs root' }, (sub) => {
      if (name.endsWith('zst') && !requirePeer(sub, 'zstd')) return;
      holdfast(folder, ['export', '--output', name, '--allow-plain-sensitive']);
      assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600);
      const copy = unpacked(join(scratch(sub), 'copy'), join(folder, name));
      const { format, volumes: listed } = JSON.parse(readFileSync(join(copy, 'holdfast-export.json'), 'utf8'));
      assert.equal(format, 'holdfast-export');
      assert.deepEqual(
        listed.map(({ volume, project: of }: Record<string, string>) => `${of}/${volume}`),
        ['shop/data', 'shop/empty', 'shop/secret'],
      );
      for (const volume of ['data', 'empty', 'secret']) assert.equal(differences(rsync, join(volumes, volume), join(copy, volume)), '');
    });
  }

  await t.test('a sensitive volume leaves encrypted or not at all', (sub) => {
    const refused = holdfast(folder, ['export', '--output', 'plain.tar'], { exit: [2] });
    assert.match(refused.stderr, /not encrypted: secret/);
    assert.ok(!existsSync(join(folder, 'plain.tar')));
    holdfast(folder, ['export', 'data', '--output', 'plain.tar']);
    const age = requirePeer(sub, 'age');
    const keygen = requirePeer(sub, 'age-keygen');
    if (!age || !keygen) return;
    const key = join(folder, 'age.key');
    run(keygen, ['-o', key]);
    const recipient = run(keygen, ['-y', key]).stdout.trim();
    writeFileSync(join(folder, 'recipients'), `# who may read it\n\n${recipient}\n`);
    for (const how of [
      ['--recipient', recipient],
      ['--recipients-file', 'recipients'],
    ]) {
      const archive = join(folder, `secret${how[0]}.tar.gz.age`);
      holdfast(folder, ['export', 'secret', '--output', archive, ...how], { cwd: folder });
      assert.ok(!readFileSync(archive).includes('T0KEN'));
      const plain: Buffer = execFileSync('sh', ['-c', '"$0" -d -i "$1" "$2" | tar -xzOf - secret/token', age, key, archive]);
      assert.equal(plain.toString(), 'T0KEN-T0KEN-T0KEN');
      // Cut by a byte, it can't be decrypted to its end.
      writeFileSync(`${archive}.cut`, readFileSync(archive).subarray(0, -1));
      assert.notEqual(spawnSync(age, ['-d', '-i', key, '-o', '/dev/null', `${archive}.cut`]).status, 0);
    }
    // A secret key in place of a recipient isn't shown.
    const secret = readFileSync(key, 'utf8').match(/AGE-SECRET-KEY-\S+/)?.[0] as string;
    const mistaken = holdfast(folder, ['export', 'secret', '--output', 'x', '--recipient', secret], { exit: [2] });
    assert.ok(!mistaken.stderr.includes(secret));
    assert.ok(!existsSync(join(folder, 'x')));
  });

  await t.test('a passphrase encrypts, too', () => {
    writeFileSync(join(folder, 'passphrase'), 'correct horse\n');
    holdfast(folder, ['export', 'secret', '--output', 'phrase.age', '--passphrase-file', join(folder, 'passphrase')]);
    const bytes = readFileSync(join(folder, 'phrase.age'), 'latin1');
    assert.match(bytes, /^age-encryption\.org\/v1\n-> scrypt /);
    assert.ok(!bytes.includes('T0KEN'));
  });

  await t.test('a file that is there is replaced only by force; one snapshot by its id; nothing by a dry run', () => {
    writeFileSync(join(folder, 'there.tar'), 'mine');
    holdfast(folder, ['export', 'data', '--output', 'there.tar'], { exit: [1] });
    assert.equal(readFileSync(join(folder, 'there.tar'), 'utf8'), 'mine');
    const [
      {
        volumes: [only],
      },
    ] = documents(holdfast(folder, ['--json', 'export', 'empty', '--output', 'there.tar', '--force']).stdout);
    const listed = run('tar', ['-tf', join(folder, 'there.tar')]).stdout;
    assert.equal(listed, 'holdfast-export.json\nempty/\n');
    const [told] = documents(
      holdfast(folder, ['--json', 'export', only.snapshot.slice(0, 10), '--output', 'none.tar', '--dry-run']).stdout,
    );
    assert.deepEqual([told.dryRun, told.volumes], [true, [only]]);
    assert.ok(!existsSync(join(folder, 'none.tar')));
  });

  await t.test('an export that is killed, or cut by damage, is no archive', async () => {
    const child = spawn(holdfastProgram, ['-C', folder, 'export', '--output', 'killed.tar', '--allow-plain-sensitive']);
    const partial = () => readdirSync(folder).some((name) => name.startsWith('killed.tar.'));
    const ended = new Promise((resolve) => child.once('close', resolve));
    while (!partial() && child.exitCode === null) await new Promise(setImmediate);
    child.kill('SIGKILL');
    await ended;
    assert.ok(!existsSync(join(folder, 'killed.tar')) || run('tar', ['-tf', join(folder, 'killed.tar')]).status === 0);
    // To standard output, cut by who reads: what came is not accepted.
    const whole = spawnSync(holdfastProgram, ['-C', folder, 'export', '--output', '-', '--allow-plain-sensitive', '--format', 'tar.gz'], {
      maxBuffer: 2 ** 30,
    }).stdout;
    writeFileSync(join(folder, 'cut.tar.gz'), whole.subarray(0, -5));
    assert.notEqual(spawnSync('tar', ['-xzf', join(folder, 'cut.tar.gz'), '-O'], { maxBuffer: 2 ** 30 }).status, 0);
    const refused = holdfast(folder, ['import', 'cut.tar.gz'], { exit: [1], cwd: folder });
    assert.match(refused.stderr, /no whole gzip file/);
  });
});
