import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { importImage, type TestEngine } from '../test/docker-engine.ts';
import { holdfastProgram } from '../test/programs.ts';
import { type DockerBench, fileBytes, withEngine, writeFiles } from './docker-volume.ts';
import { type EngineProxy, openEngineProxy } from './engine-proxy.ts';
import { type Measurement, measure } from './measure.ts';
import { median, renderTable } from './report.ts';

const fileCount = 10_000;
const [volume, restored] = ['bench_data', 'bench_restored'];
const works = ['first backup', 'unchanged', 'restore'] as const;
type Work = (typeof works)[number];

/** How fast a volume is backed up and restored in each of the ways in which it can be reached. Returns a table. */
export const runReading = (bench: DockerBench): Promise<string> => withEngine(bench, (engine) => measureAll(bench, engine));

async function measureAll(bench: DockerBench, engine: TestEngine): Promise<string> {
  const { scale, repeat, markdown } = bench;
  importImage(engine, 'busybox');
  // A container that has the volume: its archive is read where no helper may be made.
  engine.docker('create', '--network=none', `--volume=${volume}:/data`, 'busybox:test', 'true');
  const files = Math.max(100, Math.round(fileCount * scale));
  writeFiles(engine.directoryOf(volume), 0, files);
  const proxies = {
    helper: await openEngineProxy(engine.socket, { mayCreate: true }),
    container: await openEngineProxy(engine.socket, { mayCreate: false }),
  };
  try {
    const hosts = { directory: `unix://${engine.socket}`, helper: proxies.helper.address, container: proxies.container.address };
    const figures = new Map<string, Measurement[]>();
    for (let repetition = 1; repetition <= repeat; repetition++) {
      for (const [way, host] of Object.entries(hosts)) {
        for (const [work, measured] of await measureWay(bench, engine, way, host)) {
          const { wallSeconds, cpuSeconds, peakMemoryBytes } = measured;
          bench.record({ way, work, repetition, wallSeconds, cpuSeconds, peakMemoryBytes, files, bytes: files * fileBytes });
          bench.say(`${way}, ${work}: ${wallSeconds.toFixed(2)} s, ${cpuSeconds.toFixed(2)} s of CPU`);
          figures.set(`${way} ${work}`, [...(figures.get(`${way} ${work}`) ?? []), measured]);
        }
      }
    }
    const rows = Object.keys(hosts).map((way) => [way, ...works.map((work) => cell(figures.get(`${way} ${work}`), files * fileBytes))]);
    return renderTable(['way', ...works], rows, markdown ? 'markdown' : 'terminal');
  } finally {
    await Promise.all(Object.values(proxies).map((proxy: EngineProxy) => proxy.close()));
  }
}

async function measureWay(
  { scratch }: DockerBench,
  engine: TestEngine,
  way: string,
  DOCKER_HOST: string,
): Promise<(readonly [Work, Measurement])[]> {
  for (const made of ['repository', 'holdfast.key', 'state']) rmSync(join(scratch, made), { recursive: true, force: true });
  writeFileSync(
    join(scratch, 'holdfast.yaml'),
    `project: bench\nvolumes: { data: { source: { docker: ${volume} } } }\nrepositories: { local: { url: ./repository, passwordFile: ./holdfast.key } }\n`,
  );
  const holdfast = async (...args: string[]): Promise<Measurement> => {
    const environment = { DOCKER_HOST, HOLDFAST_STATE_DIR: join(scratch, 'state') };
    const measured = await measure({ argv: [holdfastProgram, ...args], directory: scratch, environment });
    if (measured.exitCode !== 0) throw new Error(`holdfast ${args.join(' ')}: ${measured.complaint}`);
    return measured;
  };
  await holdfast('init');
  const backups = [
    ['first backup', await holdfast('backup', '--cut', 'live')] as const,
    ['unchanged', await holdfast('backup', '--cut', 'live')] as const,
  ];
  // Who may make no containers can restore nowhere.
  if (way === 'container') return backups;
  engine.docker('volume', 'create', restored);
  const restore = await holdfast('restore', 'data', '--to-volume', restored, '--no-guard');
  engine.docker('volume', 'rm', restored);
  return [...backups, ['restore', restore]];
}

function cell(all: readonly Measurement[] | undefined, bytes: number): string {
  if (all === undefined) return '-';
  const seconds = median(all.map(({ wallSeconds }) => wallSeconds));
  const cpu = median(all.map(({ cpuSeconds }) => cpuSeconds));
  const memory = median(all.map(({ peakMemoryBytes }) => peakMemoryBytes)) / 1024 ** 2;
  return `${(bytes / seconds / 1e6).toFixed(0)} MB/s, ${cpu.toFixed(2)} s of CPU, ${memory.toFixed(0)} MiB`;
}
