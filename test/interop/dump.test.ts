/** `dump`: files to the byte, archives that GNU tar and unzip extract to what was there. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { scratch } from '../peers.ts';
import { differences, holdfastProgram, run } from '../programs.ts';
import { browsedProject } from './browsed-project.ts';

/** Where it is installed. */
const libarchive = 'bsdtar';
const asRoot = process.getuid?.() === 0;

/** Standard output as bytes. */
function dump(folder: string, ...args: string[]): { status: number | null; stdout: Buffer; stderr: string } {
  const { status, stdout, stderr } = spawnSync(holdfastProgram, ['-C', folder, 'dump', ...args], { maxBuffer: 2 ** 28 });
  return { status, stdout, stderr: stderr.toString() };
}

function extract(t: TestContext, archive: string, program: string, ...options: string[]): string {
  const folder = join(scratch(t), 'extracted');
  mkdirSync(folder);
  run(program, [...options, '-C', folder, '-xpf', archive]);
  return folder;
}

test('dump', async (t) => {
  const setUp = await browsedProject(t);
  if (!setUp) return;
  const { rsync, project, volume, ask } = setUp;
  const folder = scratch(t);
  /** Into a file. */
  const dumped = async (name: string, ...args: string[]): Promise<string> => {
    await ask(['dump', ...args, '--output', join(folder, name)], [0, 3]);
    return join(folder, name);
  };

  await t.test('GNU tar extracts what the volume held', { skip: !asRoot && 'needs root' }, async (sub) => {
    const options = ['--xattrs', '--xattrs-include=*', '--acls'];
    const archive = await dumped('whole.tar', 'data');
    const whole = extract(sub, archive, 'tar', ...options);
    assert.equal(differences(rsync, volume, whole), '');
    assert.equal(statSync(whole).mtimeMs, statSync(volume).mtimeMs);
    const part = extract(sub, await dumped('part.tar', 'latest:links'), 'tar', ...options);
    assert.equal(differences(rsync, join(volume, 'links'), part), '');
    if (spawnSync(libarchive, ['--version']).status !== 0) return;
    const byLibarchive = differences(rsync, volume, extract(sub, archive, libarchive)).split('\n');
    // It misreads fractions of seconds before 1970.
    assert.deepEqual(
      byLibarchive.filter((line) => line !== '' && !line.startsWith('.f..t...... times/-')),
      [],
    );
  });

  await t.test('files to the byte, by any name', async () => {
    for (const path of ['sparse/odd hole', 'empty file', '/names/new\nline', 'names/new\\nline', 'names/\\xff']) {
      const name = path.replace('new\\nline', 'new\nline');
      assert.ok(readFileSync(await dumped('file', 'data', path)).equals(readFileSync(join(volume, name))), path);
    }
    assert.equal(readFileSync(await dumped('file', 'data', 'names/\\xff\\xfe'), 'utf8'), '\xff\xfe');
    assert.equal(statSync(join(folder, 'file')).mode & 0o777, 0o600);
    const { status, stdout, stderr } = dump(project.folder, 'data', 'large');
    assert.equal(status, 0, stderr);
    assert.ok(stdout.equals(readFileSync(join(volume, 'large'))));
    await ask(['dump', 'data', 'no such'], [1]);
    await ask(['dump', 'data', 'symlinks/link 1'], [2]);
    await ask(['dump', 'data', 'large', '--output', join(folder, 'no such folder/file')], [1]);
  });

  await t.test(
    'unzip extracts files, directories and symlinks',
    { skip: spawnSync('unzip', ['-v']).status !== 0 && 'needs unzip' },
    async () => {
      const archive = await dumped('x.zip', 'data', '--archive', 'zip');
      // 1 is a warning: of names that it does not like.
      run('unzip', ['-qq', archive, '-d', join(folder, 'unzipped')], { exit: [0, 1] });
      for (const path of ['large', 'sparse/odd hole', 'empty file', 'arriving/deep/hole.txt']) {
        assert.ok(readFileSync(join(folder, 'unzipped', path)).equals(readFileSync(join(volume, path))), path);
      }
      assert.equal(run('readlink', [join(folder, 'unzipped/symlinks/link 0')]).stdout, '../empty file\n');
    },
  );

  await t.test('a closed pipe ends it quietly, and the lock goes', () => {
    const { stdout, stderr } = run('sh', ['-c', '"$0" -C "$1" dump data | head -c 10 | wc -c', holdfastProgram, project.folder]);
    assert.deepEqual([stdout.trim(), stderr], ['10', '']);
    assert.deepEqual(readdirSync(join(project.repository, 'locks')), []);
  });

  await t.test('a damaged blob is an error, and what there is of it is not taken for whole', async () => {
    damageLargePacks(project.repository);
    const file = dump(project.folder, 'data', 'large');
    assert.equal(file.status, 1);
    assert.match(file.stderr, /authentication code/);
    assert.ok(file.stdout.length < statSync(join(volume, 'large')).size);
    for (const [format, tester] of [
      ['tar', ['tar', '-tf']],
      ['zip', ['python3', '-m', 'zipfile', '-t']],
    ] as const) {
      const archive = dump(project.folder, 'data', '--archive', format);
      assert.equal(archive.status, 1);
      const path = join(folder, `damaged.${format}`);
      writeFileSync(path, archive.stdout);
      const [program, ...args] = tester;
      assert.notEqual(spawnSync(program, [...args, path]).status, 0, format);
    }
    const output = join(scratch(t), 'out');
    await ask(['dump', 'data', '--output', output], [1]);
    assert.ok(!existsSync(output));
    assert.deepEqual(readdirSync(join(output, '..')), []);
  });
});

/** Every pack that can hold a whole blob of the large file, whichever lane wrote it, and every such blob in it. */
function damageLargePacks(repository: string): void {
  const packs = globSync('data/*/*', { cwd: repository }).map((name) => join(repository, name));
  for (const pack of packs.filter((path) => statSync(path).size > 512 * 1024)) {
    const bytes = readFileSync(pack);
    for (let at = 1000; at < bytes.length; at += 400_000) bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    run('chmod', ['u+w', pack]);
    writeFileSync(pack, bytes);
  }
}
