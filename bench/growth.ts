import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { generateManyFiles } from './corpora/many-files.ts';
import type { Peer, PeerName } from './peers.ts';
import { renderTable } from './report.ts';
import { emptyFiles, type Result, runRound, type WorkName } from './rounds.ts';

export type Growth = {
  peers: readonly Peer[];
  counts: readonly number[];
  works: readonly WorkName[];
  seed: string;
  /** An existing folder for files, repositories and caches. */
  scratch: string;
  markdown: boolean;
  record: (line: object) => void;
  say: (line: string) => void;
};

const kinds = [
  { title: 'empty', sizeBytes: 0 },
  { title: '1 KiB', sizeBytes: 1024 },
] as const;

const growthWorks: readonly WorkName[] = ['first', 'unchanged', 'restore', 'check'];

type Point = {
  kind: string;
  count: number;
  work: WorkName;
  peer: PeerName;
  cpuSeconds: number;
  peakMemoryBytes: number;
  wallSeconds: number;
};

/**
 * What a file more costs, as the number of files grows. Files of 1 KiB all differ, so that their repository holds as
 * many blobs as there are files. Done once: what is looked for is a bend, not a per cent. Returns a table.
 */
export async function runGrowth(growth: Growth): Promise<string> {
  const points: Point[] = [];
  const failures: string[] = [];
  const works = growthWorks.filter((work) => growth.works.includes(work));
  for (const kind of kinds) {
    for (const count of growth.counts) {
      await measureCount(growth, kind, count, works, (result) => {
        growth.record({ ...result, files: count });
        growth.say(`${count} ${kind.title} ${result.work} ${result.peer}: ${result.failure ?? `${result.wallSeconds?.toFixed(2)} s`}`);
        const { work, peer, cpuSeconds, peakMemoryBytes, wallSeconds, failure } = result;
        if (failure !== undefined) failures.push(`${peer}, ${work}, ${count} files (${kind.title}): FAILED: ${failure}\n`);
        else if (cpuSeconds !== undefined && peakMemoryBytes !== undefined && wallSeconds !== undefined && works.includes(work)) {
          points.push({ kind: kind.title, count, work, peer, cpuSeconds, peakMemoryBytes, wallSeconds });
        }
      });
    }
  }
  return growthTable(points, growth.markdown) + failures.join('');
}

async function measureCount(
  growth: Growth,
  kind: (typeof kinds)[number],
  count: number,
  works: readonly WorkName[],
  report: (result: Result) => void,
): Promise<void> {
  const { scratch } = growth;
  const volume = join(scratch, `volume-${count}-${kind.sizeBytes}`);
  mkdirSync(volume, { recursive: true });
  generateManyFiles(volume, growth.seed, count, kind.sizeBytes);
  await runRound({
    corpus: `${count} files, ${kind.title}`,
    repetition: 1,
    peers: growth.peers,
    works,
    volume,
    scratch,
    compare: false,
    report,
  });
  emptyFiles(volume);
}

/** Beside the totals, what each file cost that came on top of the point before: the figure that must stay flat. */
export function growthTable(points: readonly Point[], markdown: boolean): string {
  const rows: string[][] = [];
  const series = Map.groupBy(points, ({ kind, work, peer }) => `${kind}/${work}/${peer}`);
  for (const line of series.values()) {
    for (const [index, point] of line.entries()) {
      const before = line[index - 1];
      const more = point.count - (before?.count ?? 0);
      rows.push([
        point.kind,
        point.work,
        point.peer,
        String(point.count),
        `${point.wallSeconds.toFixed(2)} s`,
        `${(point.peakMemoryBytes / 1024 ** 2).toFixed(0)} MiB`,
        `${(((point.wallSeconds - (before?.wallSeconds ?? 0)) / more) * 1e6).toFixed(0)} us`,
        `${(((point.cpuSeconds - (before?.cpuSeconds ?? 0)) / more) * 1e6).toFixed(0)} us`,
        before === undefined ? '' : `${((point.peakMemoryBytes - before.peakMemoryBytes) / more).toFixed(0)} B`,
      ]);
    }
  }
  const header = ['files', 'work', 'peer', 'count', 'wall', 'peak memory', 'wall, each more', 'CPU, each more', 'memory, each more'];
  return renderTable(header, rows, markdown ? 'markdown' : 'terminal');
}
