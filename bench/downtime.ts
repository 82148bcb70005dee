import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { importImage, type TestEngine } from '../test/docker-engine.ts';
import { documents, holdfastProgram, run } from '../test/programs.ts';
import { type DockerBench, fileBytes, withEngine, writeFiles } from './docker-volume.ts';
import { median, renderTable } from './report.ts';

const [fileCount, changedShare] = [100_000, 0.01];
const volume = 'bench_data';
const container = 'bench-app-1';

/** How long a container that uses a volume is halted for a backup of it, when 1% of the files have changed since the last. Returns a table. */
export const runDowntime = (bench: DockerBench): Promise<string> => withEngine(bench, (engine) => measureAll(bench, engine));

function measureAll({ scale, repeat, scratch, markdown, record, say }: DockerBench, engine: TestEngine): string {
  importImage(engine, 'busybox');
  engine.docker(
    'run',
    '--detach',
    '--network=none',
    '--name',
    container,
    `--volume=${volume}:/data`,
    'busybox:test',
    'sh',
    '-c',
    'trap exit TERM; sleep 1000000 & wait',
  );
  const directory = engine.directoryOf(volume);
  const files = Math.max(100, Math.round(fileCount * scale));
  writeFiles(directory, 0, files);
  writeFileSync(join(scratch, 'holdfast.yaml'), `project: bench\nvolumes: { data: { source: { docker: ${volume} } } }\n`);
  const environment = { DOCKER_HOST: `unix://${engine.socket}`, HOLDFAST_STATE_DIR: join(scratch, 'state') };
  const holdfast = (...args: string[]) =>
    documents(run(holdfastProgram, ['--directory', scratch, '--json', ...args], { environment }).stdout);
  holdfast('init');
  holdfast('backup', '--cut', 'live');
  const backup = (...args: string[]) =>
    holdfast('backup', ...args).find(({ event }) => event === 'cut-finished').containers[0].downtimeMs as number;
  const ways: Record<string, () => number> = {
    'stop-and-tar': () => stopAndTar(engine, directory, join(scratch, 'data.tar.gz')),
    stop: () => backup('--cut', 'stop', '--no-warm-pass'),
    pause: () => backup('--cut', 'pause', '--no-warm-pass'),
    'pause after a warm pass': () => backup('--cut', 'pause'),
  };
  const times: Record<string, number[]> = {};
  let changed = 0;
  for (let repetition = 1; repetition <= repeat; repetition++) {
    for (const [way, measure] of Object.entries(ways)) {
      const count = Math.max(1, Math.round(files * changedShare));
      writeFiles(directory, changed % files, Math.min(count, files - (changed % files)));
      changed += count;
      const downtimeMs = measure();
      record({ way, repetition, downtimeMs, files, bytes: files * fileBytes });
      say(`${way}: ${downtimeMs} ms`);
      times[way] = [...(times[way] ?? []), downtimeMs];
    }
  }
  const tar = median(times['stop-and-tar'] ?? []);
  const rows = Object.entries(times).map(([way, values]) => [way, `${median(values)} ms`, `${((100 * median(values)) / tar).toFixed(1)}%`]);
  return renderTable(['way', 'downtime', 'of stop-and-tar'], rows, markdown ? 'markdown' : 'terminal');
}

/** What operators do by hand. */
function stopAndTar(engine: TestEngine, directory: string, archive: string): number {
  const startedMs = performance.now();
  engine.docker('stop', container);
  execFileSync('tar', ['-czf', archive, '-C', directory, '.']);
  engine.docker('start', container);
  return Math.round(performance.now() - startedMs);
}
