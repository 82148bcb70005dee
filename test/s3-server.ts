/** A real S3: Ceph's gateway, which checks signatures, policies and object locks, over a Ceph that lives in memory. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { PutBucketPolicyCommand, S3Client } from '@aws-sdk/client-s3';
import { type PeerName, peer, requirePeer, scratch } from './peers.ts';

export type S3User = { name: string; environment: { AWS_ACCESS_KEY_ID: string; AWS_SECRET_ACCESS_KEY: string } };

export type S3Server = {
  /** `http://127.0.0.1:port`. */
  endpoint: string;
  owner: S3User;
  addUser(name: string): S3User;
  /** A client of the owner, for what storages don't do. */
  client: S3Client;
  /** Lets the bucket hold no more than so many bytes. */
  limit(bucket: string, bytes: number): void;
  /** Lets another user do something in a bucket of the owner. */
  allow(bucket: string, user: S3User, statements: { Action: string[]; Resource: string[] }[]): Promise<void>;
};

const programs: readonly PeerName[] = [
  'ceph-mon',
  'ceph-osd',
  'ceph-authtool',
  'monmaptool',
  'radosgw',
  'radosgw-admin',
  'ceph',
  'setpriv',
];
const patienceMs = 30_000;

/**
 * Whether the server can be started here. When not, the file's tests are skipped, as one.
 * @throws when a program is missing in CI.
 */
export function requireS3(): boolean {
  const missing = programs.filter((name) => peer(name) === undefined);
  if (missing.length > 0) test('storages in S3', (t) => void missing.map((name) => requirePeer(t, name)));
  return missing.length === 0;
}

/** Starts it in about two seconds; it ends with the test, or with the process if that is killed. */
export async function serveS3(t: Pick<TestContext, 'after'>): Promise<S3Server> {
  const children: ChildProcess[] = [];
  t.after(() => Promise.all(children.map(end)));
  const folder = scratch(t);
  const [monitorPort = 0, gatewayPort = 0] = await freePorts(2);
  const cluster = randomUUID();
  const configuration = join(folder, 'ceph.conf');
  writeFileSync(configuration, configurationOf(folder, cluster, monitorPort, gatewayPort));
  for (const name of ['mon', 'osd', 'gateway']) mkdirSync(join(folder, name));

  const environment = { ...process.env, CEPH_CONF: configuration };
  const call = (program: PeerName, ...args: string[]) =>
    execFileSync(peer(program) ?? program, args, {
      env: environment,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: patienceMs,
    });
  const start = (program: PeerName, ...args: string[]) => {
    const given = ['--pdeathsig', 'KILL', peer(program) ?? program, ...args];
    const child = spawn(peer('setpriv') ?? 'setpriv', given, { env: environment, stdio: 'ignore' });
    children.push(child);
    return child;
  };

  makeKeys(call, join(folder, 'keyring'));
  call('monmaptool', '--create', '--fsid', cluster, '--addv', 'a', `[v2:127.0.0.1:${monitorPort}/0]`, join(folder, 'monmap'));
  call('ceph-mon', '--mkfs', '-i', 'a', '--keyring', join(folder, 'keyring'), '--monmap', join(folder, 'monmap'));
  start('ceph-mon', '-i', 'a', '-f');
  const disk = randomUUID();
  call('ceph', 'osd', 'new', disk);
  call('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', disk);
  start('ceph-osd', '-i', '0', '-f');
  const gateway = start('radosgw', '-n', 'client.admin', '-f');
  const endpoint = `http://127.0.0.1:${gatewayPort}`;
  const answered = untilAnswered(endpoint, gateway);

  const addUser = (name: string): S3User => {
    const keys = { AWS_ACCESS_KEY_ID: `KEYOF${name.toUpperCase()}`, AWS_SECRET_ACCESS_KEY: `secret of ${name}` };
    const given = ['--access-key', keys.AWS_ACCESS_KEY_ID, '--secret-key', keys.AWS_SECRET_ACCESS_KEY];
    call('radosgw-admin', 'user', 'create', '--uid', name, '--display-name', name, ...given);
    return { name, environment: keys };
  };
  const owner = addUser('owner');
  await answered;
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = owner.environment;
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } });
  t.after(() => client.destroy());

  return {
    endpoint,
    owner,
    addUser,
    client,
    limit(bucket, bytes) {
      call('radosgw-admin', 'quota', 'set', '--quota-scope', 'bucket', '--bucket', bucket, '--max-size', String(bytes));
      call('radosgw-admin', 'quota', 'enable', '--quota-scope', 'bucket', '--bucket', bucket);
    },
    async allow(Bucket, { name }, statements) {
      const Principal = { AWS: [`arn:aws:iam:::user/${name}`] };
      const Statement = statements.map((statement) => ({ Effect: 'Allow', Principal, ...statement }));
      await client.send(new PutBucketPolicyCommand({ Bucket, Policy: JSON.stringify({ Version: '2012-10-17', Statement }) }));
    },
  };
}

/** What a `s3:` storage of this test's process uses, until the test ends. */
export function useCredentials(t: Pick<TestContext, 'after'>, { environment }: Pick<S3User, 'environment'>): void {
  const given = {
    ...environment,
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  };
  for (const [name, value] of Object.entries(given)) {
    const before = process.env[name];
    process.env[name] = value;
    t.after(() => {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    });
  }
}

function configurationOf(folder: string, cluster: string, monitorPort: number, gatewayPort: number): string {
  return `[global]
fsid = ${cluster}
mon initial members = a
mon host = [v2:127.0.0.1:${monitorPort}/0]
public addr = 127.0.0.1
ms bind ipv6 = false
keyring = ${folder}/keyring
mon data = ${folder}/mon
osd data = ${folder}/osd
rgw data = ${folder}/gateway
run dir = ${folder}
log to stderr = false
log file = /dev/null
mon cluster log file = /dev/null
admin socket =
auth allow insecure global id reclaim = false
mon allow pool size one = true
mon max pg per osd = 1000
paxos propose interval = 0.05
paxos min wait = 0.01
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 2147483648
rgw frontends = beast endpoint=127.0.0.1:${gatewayPort} tcp_nodelay=1
rgw enable usage log = false
rgw run sync thread = false
rgw bucket quota ttl = 0
`;
}

function makeKeys(call: (program: PeerName, ...args: string[]) => string, keyring: string): void {
  call('ceph-authtool', '-C', keyring, '-n', 'mon.', '--gen-key', '--cap', 'mon', 'allow *');
  const all = ['--cap', 'mon', 'allow *', '--cap', 'osd', 'allow *'];
  for (const name of ['client.admin', 'osd.0']) call('ceph-authtool', keyring, '-n', name, '--gen-key', ...all);
}

/** Ports that nobody listens on. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

async function untilAnswered(endpoint: string, gateway: ChildProcess): Promise<void> {
  for (const deadlineMs = Date.now() + patienceMs; ; await setTimeout(20)) {
    if (
      await fetch(endpoint).then(
        ({ ok }) => ok,
        () => false,
      )
    )
      return;
    if (gateway.exitCode !== null || Date.now() > deadlineMs) throw new Error("Ceph's gateway does not answer");
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
