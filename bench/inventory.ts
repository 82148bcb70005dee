import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { importImage, type TestEngine } from '../test/docker-engine.ts';
import { holdfastProgram } from '../test/programs.ts';
import { type DockerBench, withEngine } from './docker-volume.ts';
import { openEngineProxy } from './engine-proxy.ts';
import { type Measurement, measure } from './measure.ts';
import { median, renderTable } from './report.ts';

const [volumeCount, containerCount, createdAtOnce] = [500, 200, 8];

/** What `volumes` and `audit` cost on an Engine with 500 volumes and 200 containers, all volumes with a snapshot. Returns a table. */
export const runInventory = (bench: DockerBench): Promise<string> => withEngine(bench, (engine) => measureAll(bench, engine));

async function measureAll({ scale, repeat, scratch, markdown, record, say }: DockerBench, engine: TestEngine): Promise<string> {
  const volumes = Math.max(5, Math.round(volumeCount * scale));
  const containers = Math.max(2, Math.round(containerCount * scale));
  importImage(engine, 'busybox');
  const startedMs = performance.now();
  await make(volumes, (i) => {
    const labels = { 'com.docker.compose.project': 'bench', 'com.docker.compose.volume': `data-${i}` };
    return post(engine, '/volumes/create', { Name: `bench_data-${i}`, Labels: labels });
  });
  await make(containers, (i) => {
    const labels = { 'com.docker.compose.project': 'bench', 'com.docker.compose.service': `app-${i}` };
    const binds = [0, 1, 2].map((n) => `bench_data-${(i * 3 + n) % volumes}:/data-${n}`);
    const body = { Image: 'busybox:test', Cmd: ['true'], Labels: labels, HostConfig: { Binds: binds, NetworkMode: 'none' } };
    return post(engine, `/containers/create?name=bench-app-${i}-1`, body);
  });
  say(`${volumes} volumes and ${containers} containers made in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
  const list = Array.from({ length: volumes }, (_, i) => `  data-${i}: {}\n`).join('');
  writeFileSync(
    join(scratch, 'holdfast.yaml'),
    `project: bench\nvolumes:\n${list}repositories: { local: { url: ./repository, passwordFile: ./holdfast.key } }\n`,
  );
  const proxy = await openEngineProxy(engine.socket, { mayCreate: true });
  try {
    const holdfast = async (dockerHost: string, ...args: readonly string[]): Promise<Measurement> => {
      const environment = { DOCKER_HOST: dockerHost, HOLDFAST_STATE_DIR: join(scratch, 'state') };
      const measured = await measure({ argv: [holdfastProgram, ...args], directory: scratch, environment });
      if (measured.exitCode !== 0) throw new Error(`holdfast ${args.join(' ')}: ${measured.complaint}`);
      return measured;
    };
    const direct = `unix://${engine.socket}`;
    await holdfast(direct, 'init');
    await holdfast(direct, 'backup', '--cut', 'live');
    const rows: string[][] = [];
    for (const args of [['volumes'], ['audit', '--fail-on', 'never']]) {
      const measured: Measurement[] = [];
      for (let repetition = 1; repetition <= repeat; repetition++) measured.push(await holdfast(direct, ...args, '--json'));
      proxy.count();
      await holdfast(proxy.address, ...args, '--json');
      const requests = proxy.count();
      const [wall, cpu, memory] = (['wallSeconds', 'cpuSeconds', 'peakMemoryBytes'] as const).map((of) =>
        median(measured.map((one) => one[of])),
      );
      record({ command: args[0], volumes, containers, requests, measured });
      rows.push([
        args[0] as string,
        `${wall?.toFixed(2)} s`,
        `${cpu?.toFixed(2)} s`,
        `${((memory ?? 0) / 1024 ** 2).toFixed(0)} MiB`,
        String(requests),
      ]);
    }
    return renderTable(['command', 'wall', 'CPU', 'peak memory', 'requests to the Engine'], rows, markdown ? 'markdown' : 'terminal');
  } finally {
    await proxy.close();
  }
}

/** Some at a time. */
async function make(count: number, one: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: createdAtOnce }, async () => {
      while (next < count) await one(next++);
    }),
  );
}

function post({ socket }: TestEngine, path: string, body: object): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath: socket, method: 'POST', path, headers: { 'content-type': 'application/json' } }, (response) => {
      response.resume().once('end', () => {
        if (response.statusCode === 201) resolve();
        else reject(new Error(`${path}: ${response.statusCode}`));
      });
    });
    sent.once('error', reject);
    sent.end(JSON.stringify(body));
  });
}
