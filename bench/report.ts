import { type Figure, type Limit, limits, networkLimits } from './limits.ts';
import { isOverNetwork } from './network.ts';
import { type PeerName, peerNames } from './peers.ts';
import { type Result, type WorkName, workNames } from './rounds.ts';

/** The medians of all repetitions of one peer's work on one corpus. */
export type Summary = {
  corpus: string;
  work: WorkName;
  peer: PeerName;
  repetitions: number;
  figures: Partial<Record<Figure, number>>;
  failure?: string;
};

export type Verdict = { limit: Limit; corpus: string; measured: number; verdict: 'pass' | 'MISS' };

const figureNames: readonly Figure[] = ['wallSeconds', 'cpuSeconds', 'peakMemoryBytes', 'repositoryBytes'];

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

/** A peer that failed once at a work has no figures for it, so that nobody quotes the speed of wrong data. */
export function summarise(results: readonly Result[]): Summary[] {
  const groups = Map.groupBy(results, (result) => JSON.stringify([result.corpus, result.work, result.peer]));
  const summaries = [...groups.values()].map((group): Summary => {
    const [{ corpus, work, peer }] = group as [Result];
    const failure = group.find((result) => result.failure !== undefined)?.failure;
    return { corpus, work, peer, repetitions: group.length, figures: failure === undefined ? medians(group) : {}, failure };
  });
  return summaries.sort(
    (a, b) =>
      a.corpus.localeCompare(b.corpus) ||
      workNames.indexOf(a.work) - workNames.indexOf(b.work) ||
      peerNames.indexOf(a.peer) - peerNames.indexOf(b.peer),
  );
}

function medians(group: readonly Result[]): Partial<Record<Figure, number>> {
  const figures: Partial<Record<Figure, number>> = {};
  for (const name of figureNames) {
    const values = group.map((result) => result[name]).filter((value) => value !== undefined);
    if (values.length > 0) figures[name] = median(values);
  }
  return figures;
}

/** Every limit for which both sides were measured. */
export function judge(summaries: readonly Summary[]): Verdict[] {
  const figureOf = (corpus: string, limit: Limit, peer: PeerName): number | undefined =>
    summaries.find((summary) => summary.corpus === corpus && summary.work === limit.work && summary.peer === peer)?.figures[limit.figure];
  const verdicts: Verdict[] = [];
  const corpora = [...new Set(summaries.map(({ corpus }) => corpus))].filter(isOverNetwork);
  for (const limit of [...limits, ...networkLimits.map((limit) => ({ ...limit, corpora }))]) {
    for (const corpus of limit.corpora) {
      const ours = figureOf(corpus, limit, 'holdfast');
      const theirs = limit.against === undefined ? 1 : figureOf(corpus, limit, limit.against);
      if (ours === undefined || theirs === undefined) continue;
      const measured = ours / theirs;
      verdicts.push({ limit, corpus, measured, verdict: measured <= limit.atMost ? 'pass' : 'MISS' });
    }
  }
  return verdicts;
}

export type Layout = 'terminal' | 'markdown';

/** All figures, each with its ratio against the newest restic in brackets, then the limits. */
export function renderReport(results: readonly Result[], layout: Layout): string {
  const summaries = summarise(results);
  const parts = [
    renderTable(
      ['corpus', 'work', 'peer', 'wall', 'CPU', 'peak memory', 'repository'],
      summaries.map((summary) => figureRow(summary, summaries)),
      layout,
    ),
  ];
  const verdicts = judge(summaries);
  if (verdicts.length > 0) parts.push(renderTable(['limit', 'corpus', 'measured', 'at most', 'verdict'], verdicts.map(verdictRow), layout));
  return parts.join('\n');
}

function figureRow(summary: Summary, summaries: readonly Summary[]): string[] {
  const row = [summary.corpus, summary.work, summary.peer];
  if (summary.failure !== undefined) return [...row, `FAILED: ${summary.failure.replaceAll(/\s+/g, ' ').slice(0, 200)}`];
  const reference = summaries.find(
    ({ corpus, work, peer }) => corpus === summary.corpus && work === summary.work && peer === 'restic-newest',
  );
  return [...row, ...figureNames.map((name) => withRatio(name, summary.figures[name], reference?.figures[name]))];
}

function withRatio(name: Figure, value: number | undefined, reference: number | undefined): string {
  if (value === undefined) return '';
  const plain = name.endsWith('Seconds') ? `${value.toFixed(2)} s` : `${(value / 1024 ** 2).toFixed(0)} MiB`;
  return reference === undefined || reference === 0 ? plain : `${plain} (${(value / reference).toFixed(2)})`;
}

const figureTitles: Record<Figure, string> = {
  wallSeconds: 'wall',
  cpuSeconds: 'CPU',
  peakMemoryBytes: 'peak memory',
  repositoryBytes: 'repository',
};

function verdictRow({ limit, corpus, measured, verdict }: Verdict): string[] {
  const against = limit.against === undefined ? '' : ` / ${limit.against}`;
  return [`${limit.work}: ${figureTitles[limit.figure]}${against}`, corpus, measured.toFixed(2), String(limit.atMost), verdict];
}

export function renderTable(header: readonly string[], rows: readonly (readonly string[])[], layout: Layout): string {
  if (layout === 'markdown') {
    const line = (cells: readonly string[]): string =>
      `| ${header.map((_, column) => (cells[column] ?? '').replaceAll('|', '\\|')).join(' | ')} |`;
    return `${[header, header.map(() => '---'), ...rows].map(line).join('\n')}\n`;
  }
  // A short row ends with a message, which may be as long as it likes.
  const full = rows.filter((row) => row.length === header.length);
  const widths = header.map((title, column) => Math.max(title.length, ...full.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] as number))
      .join('  ')
      .trimEnd();
  return `${[line(header), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')}\n`;
}
