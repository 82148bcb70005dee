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

test('the SDK of S3 is loaded when credentials of a repository in S3 must be looked for, and not before', (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'volume'));
  writeFileSync(join(folder, 'volume', 'file'), 'content');
  projectAt(folder, join(folder, 'volume'));
  const noCredentials = { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' };
  const holdfast = (args: string[], exit = [0]) =>
    run(process.execPath, ['--import', `data:text/javascript,${encodeURIComponent(watch)}`, program, '--directory', folder, ...args], {
      exit,
      environment: noCredentials,
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

test('credentials in the environment are used without the SDK of S3', () => {
  const module = join(import.meta.dirname, '..', '..', 'src', 'storage', 's3.ts');
  // Nobody answers there; that is found out without the SDK.
  const script = `import { createS3Storage } from ${JSON.stringify(module)};
    await createS3Storage({ url: 's3:http://127.0.0.1:1/bucket' }).sizeOf({ kind: 'config', name: '' }).catch((error) => console.log(error.code));`;
  const environment = {
    AWS_ACCESS_KEY_ID: 'AKID',
    AWS_SECRET_ACCESS_KEY: 'hush',
    AWS_PROFILE: '',
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  };
  const args = ['--import', `data:text/javascript,${encodeURIComponent(watch)}`, '--input-type=module', '--eval', script];
  assert.equal(run(process.execPath, args, { environment }).stdout, 'storage\n');
});
