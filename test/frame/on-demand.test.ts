import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../peers.ts';
import { projectAt, run } from '../programs.ts';

const program = join(import.meta.dirname, '..', '..', 'src', 'cli', 'main.ts');
/** Ends whichever thread asks for the SDK, and with it the program, with this exit code. */
const loaded = 99;
const watch = `import { registerHooks } from 'node:module';
registerHooks({ resolve: (name, context, next) => (name.startsWith('@aws-sdk/') ? process.exit(${loaded}) : next(name, context)) });`;

test('the SDK of S3 is loaded when a repository is in S3, and not before', (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'volume'));
  writeFileSync(join(folder, 'volume', 'file'), 'content');
  projectAt(folder, join(folder, 'volume'));
  const holdfast = (args: string[], exit = [0]) =>
    run(process.execPath, ['--import', `data:text/javascript,${encodeURIComponent(watch)}`, program, '--directory', folder, ...args], {
      exit,
    });
  holdfast(['--help']);
  holdfast(['init']);
  holdfast(['backup']);
  const { status } = holdfast(
    ['--repository', 's3:http://127.0.0.1:1/bucket', '--password-file', join(folder, 'key'), 'snapshots'],
    [loaded],
  );
  assert.equal(status, loaded);
});
