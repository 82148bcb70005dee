import assert from 'node:assert/strict';
import { test } from 'node:test';
import { anyText, fc } from '../../test/properties.ts';
import { readRemote } from './rclone-remote.ts';

test('a remote without settings is given as it is', () => {
  for (const remote of ['store:below', ':local:/x', '/a/path,with/commas', 'a,b', 'store:x,y=z:path']) {
    assert.deepEqual(readRemote(remote, true), { argument: remote, environment: {}, shown: remote, secrets: [] });
  }
});

test('settings become variables of the remote, whatever is in their values', () => {
  fc.assert(
    fc.property(fc.array(anyText(), { minLength: 1, maxLength: 4 }), fc.constantFrom('"', "'"), (values, quote) => {
      const settings = values.map((value, number) => `,key_${number}=${quote}${value.replaceAll(quote, quote + quote)}${quote}`).join('');
      const { argument, environment, shown } = readRemote(`my-Remote${settings}:path:a,b`, true);
      assert.deepEqual(environment, Object.fromEntries(values.map((value, number) => [`RCLONE_CONFIG_MY-REMOTE_KEY_${number}`, value])));
      assert.equal(argument, 'my-Remote:path:a,b');
      assert.equal(shown, 'my-Remote,***:path:a,b');
    }),
  );
});

test('settings of a backend make a remote of its type; flags are true; what is for rclone itself stays', () => {
  assert.deepEqual(readRemote(`:s3,env_auth,secret-access-key=hunter2,global.transfers=4:bucket/x`, true), {
    argument: 'holdfast_connection,global.transfers="4":bucket/x',
    environment: {
      RCLONE_CONFIG_HOLDFAST_CONNECTION_TYPE: 's3',
      RCLONE_CONFIG_HOLDFAST_CONNECTION_ENV_AUTH: 'true',
      RCLONE_CONFIG_HOLDFAST_CONNECTION_SECRET_ACCESS_KEY: 'hunter2',
    },
    shown: ':s3,***:bucket/x',
    secrets: ['true', 'hunter2'],
  });
});

test('passwords that could be given as arguments only are refused; other settings are given so', () => {
  for (const setting of [
    'pass=hunter2',
    'secret_access_key=hunter2',
    "url='https://me:hunter2@host/'",
    'sas_url="https://x?sig=hunter2"',
  ]) {
    assert.throws(
      () => readRemote(`store,${setting}:path`, false),
      (error: Error) => /list of processes/.test(error.message) && !/hunter2/.test(error.message),
    );
  }
  assert.equal(readRemote('store,nounc=true:path', false).argument, 'store,nounc=true:path');
});

test('a connection string that makes no sense is refused, and not shown', () => {
  for (const remote of ['store,pass="hunter2"x:path', 'store,=hunter2:path', 'store,pass=hunter2,:path']) {
    assert.throws(
      () => readRemote(remote, true),
      (error: Error) => /cannot be read/.test(error.message) && !/hunter2/.test(error.message),
    );
  }
});
