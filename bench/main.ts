import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { runControl } from './control.ts';
import { type CorpusChoice, churnCorpus, pristineCorpus } from './corpora.ts';
import { runDowntime } from './downtime.ts';
import { runGrowth } from './growth.ts';
import { runInventory } from './inventory.ts';
import { corpusOver, type Link, openNetwork } from './network.ts';
import { type Options, parseOptions, usage } from './options.ts';
import { findPeers } from './peers.ts';
import { runReading } from './reading.ts';
import { renderReport } from './report.ts';
import { emptyFiles, measureHelp, type Result, runRound } from './rounds.ts';

const options = readOptions();
mkdirSync(options.workFolder, { recursive: true });
const { peers, missing } = findPeers(options.peers, options);
for (const { name, why } of missing) say(`without ${name}: ${why}`);
if (peers.length === 0) stop('none of the peers is here');

const clearedMark = join(options.workFolder, 'cleared');
const scratch = claimScratch(join(options.workFolder, 'scratch'));
warnOfFreedInodes();
const resultsFile = join(options.workFolder, `results-${new Date().toISOString().replaceAll(/[:.]/g, '-')}.jsonl`);
record({
  machine: {
    processors: availableParallelism(),
    model: cpus()[0]?.model,
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
  },
  peers: peers.map(({ name, version }) => ({ name, version })),
  seed: options.seed,
  scale: options.scale,
  pageCache: 'warm: the corpus is read once before each series of backups',
});
if (options.downtime) {
  process.stdout.write(await runDowntime({ ...options, scratch, record, say }));
} else if (options.reading) {
  process.stdout.write(await runReading({ ...options, scratch, record, say }));
} else if (options.inventory) {
  process.stdout.write(await runInventory({ ...options, scratch, record, say }));
} else if (options.control) {
  process.stdout.write(await runControl({ ...options, scratch, record, say }));
} else if (options.growth) {
  process.stdout.write(await runGrowth({ ...options, scratch, peers, record, say }));
} else {
  process.stdout.write(renderReport(await runAll(), options.markdown ? 'markdown' : 'terminal'));
}
if (!options.keep) clear(scratch);
say(`every single measurement: ${resultsFile}`);

async function runAll(): Promise<Result[]> {
  const results: Result[] = [];
  const report = (result: Result): void => {
    record(result);
    say(progressLine(result));
    if (options.works.includes(result.work) || result.failure !== undefined) results.push(result);
  };
  if (options.works.includes('help')) {
    for (let repetition = 1; repetition <= options.repeat; repetition++) await measureHelp(peers, repetition, scratch, report);
  }
  // `help` is of no corpus: alone, it needs none.
  const needsCorpus = options.works.some((work) => work !== 'help');
  for (const name of needsCorpus ? options.corpora : []) {
    if (options.network.length === 0) await runCorpus({ ...options, name }, report);
    for (const link of options.network) await runCorpus({ ...options, name }, report, link);
  }
  return results;
}

async function runCorpus(choice: CorpusChoice, report: (result: Result) => void, link?: Link): Promise<void> {
  const corpus = link === undefined ? choice.name : corpusOver(choice.name, link);
  say(`corpus ${corpus}`);
  const pristine = pristineCorpus(join(options.workFolder, 'corpora'), choice);
  const volume = join(scratch, `volume-${choice.name}`);
  for (let repetition = 1; repetition <= options.repeat; repetition++) {
    // The first state again, whatever an earlier repetition did to it.
    mkdirSync(volume, { recursive: true });
    execFileSync('rsync', ['-aH', '--delete', `${pristine}/`, `${volume}/`]);
    const network = link && (await openNetwork(link, join(scratch, `server-${corpus}-${repetition}`)));
    Object.assign(process.env, network?.environment);
    await runRound({
      corpus,
      repetition,
      // Another one begins each time, so that no peer always has the first turn after a change of work.
      peers: rotate(peers, repetition - 1),
      // Only this corpus can be changed again and again.
      works: choice.name === 'sources' ? options.works : options.works.filter((work) => work !== 'prune'),
      volume,
      scratch,
      churn: (step) => churnCorpus(volume, step === 0 ? choice : { ...choice, seed: `${choice.seed} ${step}` }),
      compare: repetition === 1,
      ...(network && { repositoryOf: network.repositoryOf }),
      report,
    });
    await network?.close();
  }
  if (!options.keep) emptyFiles(volume);
}

function rotate<Item>(list: readonly Item[], by: number): Item[] {
  const start = by % list.length;
  return [...list.slice(start), ...list.slice(0, start)];
}

function progressLine(result: Result): string {
  const { corpus, work, peer, repetition, failure, wallSeconds, cpuSeconds, repositoryBytes } = result;
  const what = `${repetition} ${corpus} ${work} ${peer}`;
  if (failure !== undefined) return `${what}: FAILED: ${failure}`;
  if (repositoryBytes !== undefined) return `${what}: ${(repositoryBytes / 1024 ** 2).toFixed(0)} MiB`;
  return `${what}: ${wallSeconds?.toFixed(2)} s, ${cpuSeconds?.toFixed(2)} s of CPU`;
}

function readOptions(): Options {
  try {
    const parsed = parseOptions(process.argv.slice(2), dirname(import.meta.dirname));
    if (parsed !== 'help') return parsed;
    process.stdout.write(usage);
    process.exit(0);
  } catch (error) {
    return stop(`${(error as Error).message}\n\n${usage}`);
  }
}

/**
 * An empty folder, cleared of what an interrupted run has left. Two runs at once would spoil each other's figures, so
 * the second one stops.
 */
function claimScratch(folder: string): string {
  const owner = join(folder, 'pid');
  const pid = existsSync(owner) ? readFileSync(owner, 'utf8') : undefined;
  if (pid !== undefined && existsSync(join('/proc', pid)))
    stop(`process ${pid} is measuring in ${folder}; wait, or set HOLDFAST_BENCH_DIR`);
  if (existsSync(folder)) clear(folder);
  mkdirSync(folder, { recursive: true });
  writeFileSync(owner, String(process.pid));
  return folder;
}

/** Removes what a run has made, and when that was many files, notes when they went: see `emptyFiles`. */
function clear(folder: string): void {
  if (existsSync(join(folder, 'restored'))) writeFileSync(clearedMark, '');
  rmSync(folder, { recursive: true, force: true });
}

/** Says so when the files of an earlier run went so lately that restores will look slow. */
function warnOfFreedInodes(): void {
  const agoSeconds = existsSync(clearedMark) ? (Date.now() - statSync(clearedMark).mtimeMs) / 1000 : Infinity;
  if (agoSeconds < 360)
    say(`an earlier run removed its files ${agoSeconds.toFixed(0)} s ago: on ext4, restores of many files are slower for 6 minutes`);
}

function record(line: object): void {
  appendFileSync(resultsFile, `${JSON.stringify(line)}\n`);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function stop(message: string): never {
  say(message);
  process.exit(2);
}
