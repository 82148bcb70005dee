import type { PeerName } from './peers.ts';
import type { WorkName } from './rounds.ts';

export type Figure = 'wallSeconds' | 'cpuSeconds' | 'peakMemoryBytes' | 'repositoryBytes';

/** Holdfast's figure may be at most `atMost` times that of the peer `against`; without a peer, `atMost` itself. */
export type Limit = { work: WorkName; figure: Figure; atMost: number; against?: PeerName; corpora: readonly string[] };

const all = ['sources', 'databases', 'media'];
const limit = (
  work: WorkName,
  figure: Figure,
  atMost: number,
  corpora: readonly string[] = all,
  against: PeerName = 'restic-newest',
): Limit => ({
  work,
  figure,
  atMost,
  against,
  corpora,
});

/** What the project has set out to reach over a network, whichever corpus and latency. */
export const networkLimits: readonly Limit[] = (['first', 'unchanged', 'restore', 'check', 'prune'] as const).flatMap((work) => [
  limit(work, 'wallSeconds', 0.7, []),
  limit(work, 'peakMemoryBytes', 1.25, []),
]);

/** What the project has set out to reach. */
export const limits: readonly Limit[] = [
  limit('first', 'wallSeconds', 0.5),
  limit('first', 'cpuSeconds', 0.5),
  limit('first', 'wallSeconds', 1.5, ['databases'], 'tar-zstd'),
  limit('unchanged', 'wallSeconds', 0.25, ['sources']),
  limit('unchanged', 'cpuSeconds', 0.25, ['sources']),
  limit('churned', 'wallSeconds', 0.4),
  limit('churned', 'cpuSeconds', 0.4),
  limit('restore', 'wallSeconds', 0.6),
  limit('restore', 'cpuSeconds', 0.6),
  limit('check', 'wallSeconds', 0.7),
  limit('check', 'cpuSeconds', 0.7),
  limit('prune', 'wallSeconds', 0.7, ['sources']),
  limit('prune', 'cpuSeconds', 0.7, ['sources']),
  limit('size', 'repositoryBytes', 1.03),
  limit('first', 'peakMemoryBytes', 1.25),
  limit('unchanged', 'peakMemoryBytes', 1.25),
  limit('churned', 'peakMemoryBytes', 1.25),
  limit('restore', 'peakMemoryBytes', 1.25),
  limit('check', 'peakMemoryBytes', 1.25),
  limit('prune', 'peakMemoryBytes', 1.25, ['sources']),
  { work: 'help', figure: 'cpuSeconds', atMost: 0.15, corpora: ['none'] },
];
