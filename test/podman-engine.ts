/** Podman's service with Docker's API, of the test's own: private socket, storage and settings. Spoken to with the `docker` program. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { TestEngine } from './docker-engine.ts';
import { requirePeer, requireRoot } from './peers.ts';

const startMs = 30_000;

/** Without a network, since there is none to be made here; with limits that a process without CAP_SYS_RESOURCE may set. */
const settings = `[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[containers]
netns = "none"
log_driver = "k8s-file"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
`;

/** Starts one that ends with the tests of `t`; undefined when there can be none here, and the test is then marked as skipped: return from it. */
export async function startPodmanEngine(t: TestContext): Promise<TestEngine | undefined> {
  if (!requireRoot(t)) return undefined;
  const [podman, client] = [requirePeer(t, 'podman'), requirePeer(t, 'docker')];
  if (podman === undefined || client === undefined || requirePeer(t, 'busybox') === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-podman-'));
  const at = (name: string) => join(folder, name);
  mkdirSync(at('podman'));
  const socket = at('podman/podman.sock');
  writeFileSync(at('containers.conf'), settings);
  const places = ['--root', at('root'), '--runroot', at('run'), '--tmpdir', at('tmp'), '--network-config-dir', at('networks')];
  const service = [...places, '--storage-driver', 'vfs', '--cgroup-manager=cgroupfs', 'system', 'service', '--time=0', `unix://${socket}`];
  const environment = { ...process.env, DOCKER_HOST: `unix://${socket}`, DOCKER_CONFIG: folder };
  const child = spawn(podman, service, {
    env: { ...process.env, CONTAINERS_CONF: at('containers.conf'), XDG_RUNTIME_DIR: folder },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (bytes: Buffer) => {
    said = (said + bytes.toString()).slice(-2000);
  });
  const ended = once(child, 'exit');
  const docker = (...args: string[]): string => {
    const { status, stdout, stderr } = spawnSync(client, args, { encoding: 'utf8', env: environment, timeout: 60_000 });
    if (status !== 0) throw new Error(`docker ${args.join(' ')}: ${stderr}`);
    return stdout.trim();
  };
  t.after(async () => {
    const ids = spawnSync(client, ['ps', '--all', '--quiet'], { encoding: 'utf8', env: environment }).stdout.split('\n').filter(Boolean);
    if (ids.length > 0) spawnSync(client, ['rm', '--force', ...ids], { env: environment, timeout: 30_000 });
    child.kill();
    await ended;
    spawnSync('sh', ['-c', `grep -o '${folder}[^ ]*' /proc/self/mounts | sort -r | xargs -r umount -l`]);
    execFileSync('rm', ['-rf', folder]);
  });
  const late = Date.now() + startMs;
  while (!(await answers(socket))) {
    if (child.exitCode !== null || Date.now() > late) throw new Error(`podman's service does not start: ${said}`);
    await setTimeout(50);
  }
  return { socket, dataRoot: at('root'), docker, environment, directoryOf: (volume) => join(at('root'), 'volumes', volume, '_data') };
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket);
    connection.once('connect', () => resolve(true));
    connection.once('error', () => resolve(false));
    connection.once('close', () => resolve(false));
    connection.once('connect', () => connection.destroy());
  });
}
