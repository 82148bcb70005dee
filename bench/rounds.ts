import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, measure } from './measure.ts';
import type { Peer, PeerName, Place } from './peers.ts';

export const workNames = ['first', 'unchanged', 'churned', 'restore', 'dump', 'check', 'prune', 'size', 'help'] as const;
export type WorkName = (typeof workNames)[number];

/** One line of the results file. Figures are missing where the work failed; `failure` then says how. */
export type Result = {
  corpus: string;
  work: WorkName;
  peer: PeerName;
  version: string;
  repetition: number;
  wallSeconds?: number;
  cpuSeconds?: number;
  peakMemoryBytes?: number;
  repositoryBytes?: number;
  failure?: string;
};

/** One repetition of all works over one corpus. */
export type Round = {
  corpus: string;
  repetition: number;
  peers: readonly Peer[];
  works: readonly WorkName[];
  /** The folder that is backed up: in its first state now. */
  volume: string;
  /** An existing folder for repositories, caches and restored data. */
  scratch: string;
  /**
   * Changes the volume: into its second state, and, for `prune`, into one more with each further step. Without it there is no work `churned`
   * or `prune`.
   */
  churn?: (step: number) => void;
  /** Where a peer's repository is, when it isn't a folder in `scratch`. */
  repositoryOf?: (peer: PeerName) => string;
  /** Whether restored data are compared with the volume. */
  compare: boolean;
  report: (result: Result) => void;
};

type Runner = { peer: Peer; place: Place; failed: boolean };

/**
 * Work by work, and in each work peer by peer, so that what else happens on the machine hits all alike. The first backup
 * is always made, because all other works need it. A peer whose backup has failed does nothing more in this round.
 */
export async function runRound(round: Round): Promise<void> {
  const runners = round.peers.map((peer) => ({ peer, place: preparePlace(round, peer), failed: false }));
  const wants = (work: WorkName): boolean => round.works.includes(work);
  for (const runner of runners) await initialise(round, runner);
  warm(round.volume);
  for (const runner of runners) await runWork(round, runner, 'first', (peer, place) => peer.backup(place));
  if (wants('unchanged')) {
    for (const runner of runners) await runWork(round, runner, 'unchanged', (peer, place) => peer.backup(place));
  }
  if (wants('churned') && round.churn !== undefined) {
    round.churn(0);
    warm(round.volume);
    for (const runner of runners) await runWork(round, runner, 'churned', (peer, place) => peer.backup(place));
  }
  if (wants('size')) for (const runner of runners) reportSize(round, runner);
  if (wants('restore')) for (const runner of runners) await restore(round, runner);
  if (wants('dump')) {
    for (const runner of runners) await runWork(round, runner, 'dump', (peer, place) => peer.dump?.(place));
  }
  if (wants('check')) {
    for (const runner of runners) await runWork(round, runner, 'check', (peer, place) => peer.check?.(place));
  }
  if (wants('prune') && round.churn !== undefined) await prune(round, round.churn, runners);
}

/** Snapshots that are made, and forgotten but for the last, before `prune`. */
const prunedSnapshots = 4;

/** Peers that cannot prune have no part in it. */
async function prune(round: Round, churn: (step: number) => void, runners: readonly Runner[]): Promise<void> {
  const pruning = runners.filter(({ peer, failed }) => !failed && peer.forget !== undefined && peer.prune !== undefined);
  if (pruning.length === 0) return;
  for (let step = 1; step <= prunedSnapshots; step++) {
    churn(step);
    for (const { peer, place } of pruning) await prepare(peer.backup(place));
  }
  for (const { peer, place } of pruning) await prepare(peer.forget?.(place) as Command);
  for (const runner of pruning) await runWork(round, runner, 'prune', (peer, place) => peer.prune?.(place));
}

/** What is done for a work without being measured. @throws when it fails. */
async function prepare(command: Command): Promise<void> {
  const { exitCode, complaint } = await measure(command);
  if (exitCode !== 0) throw new Error(`${command.argv.join(' ')}: exit ${exitCode}: ${complaint}`);
}

function preparePlace(round: Round, peer: Peer): Place {
  const scratch = join(round.scratch, peer.name);
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(join(scratch, 'home'), { recursive: true });
  const repository = round.repositoryOf?.(peer.name) ?? join(scratch, 'repository');
  return { volume: round.volume, repository, scratch: join(scratch, 'home') };
}

async function initialise(round: Round, runner: Runner): Promise<void> {
  const { exitCode, complaint } = await measure(runner.peer.init(runner.place));
  if (exitCode !== 0) fail(round, runner, 'first', `init: exit ${exitCode}: ${complaint}`);
}

async function runWork(
  round: Round,
  runner: Runner,
  work: WorkName,
  commandOf: (peer: Peer, place: Place) => Command | undefined,
): Promise<void> {
  const command = runner.failed ? undefined : commandOf(runner.peer, runner.place);
  if (command === undefined) return;
  flushDisk();
  const { exitCode, complaint, ...figures } = await measure(command);
  if (exitCode !== 0) fail(round, runner, work, `exit ${exitCode}: ${complaint}`);
  else round.report({ ...describe(round, runner.peer, work), ...figures });
}

async function restore(round: Round, runner: Runner): Promise<void> {
  if (runner.failed) return;
  const target = join(round.scratch, 'restored', `${round.corpus}-${round.repetition}-${runner.peer.name}`);
  mkdirSync(target, { recursive: true });
  flushDisk();
  const { exitCode, complaint, ...figures } = await measure(runner.peer.restore(runner.place, target));
  const wrong = exitCode === 0 && round.compare ? differences(round.volume, runner.peer.restoredRoot?.(target) ?? target) : [];
  if (exitCode !== 0) fail(round, runner, 'restore', `exit ${exitCode}: ${complaint}`);
  else if (wrong.length > 0) fail(round, runner, 'restore', `WRONG DATA, ${wrong.length} differences: ${wrong.slice(0, 3).join('; ')}`);
  else round.report({ ...describe(round, runner.peer, 'restore'), ...figures });
  emptyFiles(target);
}

function reportSize(round: Round, runner: Runner): void {
  if (runner.failed || round.repositoryOf !== undefined) return;
  round.report({ ...describe(round, runner.peer, 'size'), repositoryBytes: folderSize(runner.place.repository) });
}

function fail(round: Round, runner: Runner, work: WorkName, failure: string): void {
  // Without its backup a peer has nothing to go on with; a restore that failed spoils nothing.
  if (!['restore', 'dump', 'check', 'prune'].includes(work)) runner.failed = true;
  round.report({ ...describe(round, runner.peer, work), failure });
}

const describe = (round: Round, peer: Peer, work: WorkName) => ({
  corpus: round.corpus,
  work,
  peer: peer.name,
  version: peer.version,
  repetition: round.repetition,
});

/** What rsync finds to be different, byte for byte and with all metadata; the root's own metadata don't count. */
export function differences(expected: string, actual: string): string[] {
  const said = execFileSync('rsync', ['-aHAXnci', '--delete', `${expected}/`, `${actual}/`], { encoding: 'utf8', maxBuffer: 1 << 28 });
  return said.split('\n').filter((line) => line !== '' && !line.endsWith(' ./'));
}

/** Reads the volume once, so that all peers find it in the page cache. (tar that writes to /dev/null itself reads nothing.) */
function warm(volume: string): void {
  execFileSync('bash', ['-c', 'tar -C "$1" -cf - . | cat >/dev/null', 'bash', volume]);
}

/** So that no peer waits for the disk to take what the one before it has written. */
function flushDisk(): void {
  execFileSync('sync');
}

/**
 * Frees the space of a tree that is no longer needed, and leaves the tree. Removing it would spoil what comes next: for
 * minutes, ext4 steps over every inode that was freed not long ago, and makes new files ten times slower.
 */
export function emptyFiles(root: string): void {
  execFileSync('find', [root, '-type', 'f', '-size', '+0', '-exec', 'truncate', '-s', '0', '--', '{}', '+']);
}

function folderSize(root: string): number {
  let sizeBytes = 0;
  for (const entry of readdirSync(root, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) sizeBytes += statSync(join(entry.parentPath, entry.name)).size;
  }
  return sizeBytes;
}

const helpRuns = 10;

/** Starts the program ten times without work. The figures are those of one start. */
export async function measureHelp(
  peers: readonly Peer[],
  repetition: number,
  scratch: string,
  report: (result: Result) => void,
): Promise<void> {
  for (const peer of peers) {
    const place = { volume: scratch, repository: join(scratch, 'none'), scratch };
    const { argv, ...rest } = peer.help(place);
    const script = `for run in $(seq ${helpRuns}); do "$@" >/dev/null || exit; done`;
    const { wallSeconds, cpuSeconds, peakMemoryBytes, exitCode, complaint } = await measure({
      ...rest,
      argv: ['sh', '-c', script, 'sh', ...argv],
    });
    const which = { corpus: 'none', work: 'help' as const, peer: peer.name, version: peer.version, repetition };
    if (exitCode !== 0) report({ ...which, failure: `exit ${exitCode}: ${complaint}` });
    else report({ ...which, wallSeconds: wallSeconds / helpRuns, cpuSeconds: cpuSeconds / helpRuns, peakMemoryBytes });
  }
}
