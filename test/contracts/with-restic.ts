/** End to end on one storage: what Holdfast wrote there restic reads, and the other way round. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { requireRestic, scratch } from '../peers.ts';
import { holdfast, run } from '../programs.ts';

/** @param options those of the repository in holdfast.yaml; `resticArgs` are the same for restic. */
export function proveBothWays(t: TestContext, url: string, options: Record<string, string> = {}, resticArgs: readonly string[] = []): void {
  const peer = requireRestic(t, 'newest');
  if (peer === undefined) return;
  const folder = scratch(t);
  const volume = join(folder, 'volume');
  mkdirSync(volume);
  writeFileSync(join(volume, 'ours'), 'ours\n'.repeat(100_000));
  const repository = JSON.stringify({ url, passwordFile: './holdfast.key', options });
  const settings = `project: both\nvolumes:\n  data: {source: {directory: ${JSON.stringify(volume)}}}\nrepositories:\n  there: ${repository}\n`;
  writeFileSync(join(folder, 'holdfast.yaml'), settings);
  const given = ['--repo', url, '--password-file', join(folder, 'holdfast.key'), '--no-cache', ...resticArgs];
  const restic = (...args: string[]) => run(peer.path, [...given, ...args]).stdout;
  const ours = (...args: string[]) => holdfast(folder, ['--no-cache', ...args]).stdout;

  ours('init');
  ours('backup');
  restic('check', '--read-data');
  assert.equal(restic('dump', 'latest', '/ours'), 'ours\n'.repeat(100_000));

  mkdirSync(join(folder, 'other'));
  writeFileSync(join(folder, 'other', 'theirs'), 'theirs\n'.repeat(100_000));
  run(peer.path, [...given, 'backup', '.', '--quiet'], { cwd: join(folder, 'other') });
  ours('check', '--read-data');
  ours('restore', '--to', join(folder, 'restored'), '--verify');
  assert.equal(readFileSync(join(folder, 'restored', 'data', 'ours'), 'utf8'), 'ours\n'.repeat(100_000));
  const theirs = JSON.parse(restic('snapshots', '--json', '--path', join(folder, 'other')))[0].id;
  assert.equal(ours('dump', theirs, '/theirs'), 'theirs\n'.repeat(100_000));
}
