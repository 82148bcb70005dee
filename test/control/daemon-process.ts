/** `holdfast up` as a process, on a project of directories, and what it writes to its log. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import type { TestContext } from 'node:test';
import type { Job } from '../../src/control/jobs/job.ts';
import { scratch } from '../peers.ts';
import { type Document, holdfastJson, holdfastProgram } from '../programs.ts';

export type DaemonProject = { folder: string; file: string; environment: Record<string, string>; stateFile(): string };

/** What the tests don't ask for is switched off. */
export const onlyBackups = `
maintenance: { forget: { enabled: false }, check: { enabled: false }, usage: { enabled: false } }
drills: { enabled: false }
daemon: { listen: ./api.sock }
`;

/** A project with two volumes and a repository. @param schedule of backups, as YAML. */
export function daemonProject(t: Pick<TestContext, 'after'>, schedule: string, more = onlyBackups): DaemonProject {
  const folder = scratch(t);
  for (const volume of ['one', 'two']) {
    mkdirSync(join(folder, volume));
    writeFileSync(join(folder, volume, 'file'), `of ${volume}`);
  }
  const file = join(folder, 'holdfast.yaml');
  writeFileSync(file, projectFile(schedule, more));
  const environment = { HOLDFAST_STATE_DIR: join(folder, 'state') };
  holdfastJson(folder, ['init'], { environment });
  return { folder, file, environment, stateFile: () => globSync(join(folder, 'state/daemon/*/state.sqlite'))[0] as string };
}

export const projectFile = (schedule: string, more = onlyBackups): string =>
  `project: shop\nvolumes:\n  one: { source: { directory: ./one } }\n  two: { source: { directory: ./two } }\nschedules: ${schedule}\n${more}`;

export type RunningDaemon = {
  child: ChildProcess;
  /** All lines of its log so far. */
  lines: Document[];
  /** The first line, from `from` on, that matches; fails when the daemon ends before. */
  line(matches: (line: Document) => boolean, from?: number): Promise<Document>;
  /** Its exit code, when it has ended. */
  ended: Promise<number | null>;
  /** What it has written to stderr. */
  complaints(): string;
  /** Asks it to end, or kills it; returns its exit code. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
};

export function startDaemon(
  t: Pick<TestContext, 'after'>,
  { folder, environment }: Pick<DaemonProject, 'folder' | 'environment'>,
): RunningDaemon {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(HOLDFAST|RESTIC)_|^TZ$/.test(name)));
  const child = spawn(holdfastProgram, ['--directory', folder, '--json', 'up'], {
    env: { ...clean, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const lines: Document[] = [];
  const said: string[] = [];
  const watchers = new Set<() => void>();
  createInterface({ input: child.stdout }).on('line', (text) => {
    if (text.startsWith('{')) lines.push(JSON.parse(text));
    for (const look of watchers) look();
  });
  child.stderr.on('data', (chunk) => said.push(String(chunk)));
  let isOver = false;
  void ended.then(() => {
    isOver = true;
    for (const look of watchers) look();
  });
  const end = async (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal);
    return ended;
  };
  t.after(async () => {
    if (!isOver) await end('SIGKILL');
  });
  return {
    child,
    lines,
    ended,
    complaints: () => said.join(''),
    end,
    line: (matches, from = 0) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = lines.slice(from).find(matches);
          if (found === undefined && !isOver) return;
          watchers.delete(look);
          if (found !== undefined) resolve(found);
          else
            reject(
              new Error(
                `the daemon ended: ${said.join('')}${lines
                  .slice(-5)
                  .map((line) => line.body)
                  .join('\n')}`,
              ),
            );
        };
        watchers.add(look);
        look();
      }),
  };
}

/** A change of a job to a state. */
export const job =
  (state: Job['state'], kind = 'backup') =>
  (line: Document): boolean =>
    line.eventName === 'holdfast.job' && line.attributes['holdfast.job.state'] === state && line.attributes['holdfast.job.kind'] === kind;

/** All jobs that the state knows, the oldest first. */
export function jobsOf({ stateFile }: DaemonProject): Job[] {
  const database = new DatabaseSync(stateFile(), { readOnly: true, timeout: 10_000 });
  try {
    const rows = database.prepare('SELECT document FROM jobs ORDER BY id').all() as { document: string }[];
    return rows.map(({ document }) => JSON.parse(document) as Job);
  } finally {
    database.close();
  }
}

/** What jobs have written to their logs, all in one. */
export function jobLinesOf({ stateFile }: Pick<DaemonProject, 'stateFile'>): string {
  const database = new DatabaseSync(stateFile(), { readOnly: true, timeout: 10_000 });
  try {
    const rows = database.prepare('SELECT line FROM job_log ORDER BY job, number').all() as { line: string }[];
    return rows.map(({ line }) => line).join('\n');
  } finally {
    database.close();
  }
}

/** Snapshots of a project, by their run. */
export function runsOf({ folder, environment }: DaemonProject): Map<string, Document[]> {
  const snapshots = holdfastJson(folder, ['snapshots', '--all'], { environment });
  return Map.groupBy(snapshots, ({ run }) => run as string);
}

/** Processes that a process has started, and that are still there (proc(5), `children`). */
export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Of its processes those that do jobs: it also has some that only read. */
export const jobProcessesOf = (pid: number): number[] => childrenOf(pid).filter((child) => isJob(child));

function isJob(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes('HOLDFAST_JOB=1');
  } catch {
    return false;
  }
}
