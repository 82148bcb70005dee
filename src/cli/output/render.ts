import { errorFromDocument, exitCodes } from '../../model/errors.ts';
import type { CheckFinding, CopiedSnapshot, EngineEvent, Operation, Report } from '../../model/events.ts';
import { shortId } from '../../model/ids.ts';
import { formatDuration, formatSize } from '../../model/quantities.ts';
import type { Output } from './output.ts';
import type { Progress } from './progress.ts';
import { createRetryNotice } from './retry-notice.ts';
import { displayText } from './text.ts';
import { formatCount } from './units.ts';

/** Shows the events of a backup, restore or check: as they are with `--json`, else as text. */

type Event<Name extends EngineEvent['event']> = Extract<EngineEvent, { event: Name }>;

/** So many problems of one kind in one volume are shown one by one; the rest are counted. `--json` has them all. */
const problemsShown = 20;
const pathsShown = 5;
const jsonProgressIntervalMs = 1000;

export function createRenderer(output: Omit<Output, 'report'>, progress: Progress, nowMs: () => number = () => performance.now()): Report {
  return output.json ? jsonRenderer(output, nowMs) : textRenderer(output, progress, nowMs);
}

/**
 * Every event is a line on stdout, as src/model/events.ts defines it, but for errors, which go to stderr as all errors do.
 * Progress is at most one event a second and volume, and none with `--quiet`.
 */
function jsonRenderer(output: Omit<Output, 'report'>, nowMs: () => number): Report {
  const lastProgressMs = new Map<string, number>();
  const retryNotice = createRetryNotice(output, nowMs);
  let eventsExpected = false;
  return (event) => {
    eventsExpected ||= event.event === 'run-started';
    // A command whose documents are something else has no place for events among them.
    if (event.event === 'storage-retry' && !eventsExpected) return retryNotice(event);
    if (event.event === 'error') return output.error(errorFromDocument(event.error));
    if (event.event === 'progress') {
      const now = nowMs();
      if (output.quiet || now - (lastProgressMs.get(event.volume) ?? Number.NEGATIVE_INFINITY) < jsonProgressIntervalMs) return;
      lastProgressMs.set(event.volume, now);
    }
    output.document(event);
  };
}

function textRenderer(output: Omit<Output, 'report'>, progress: Progress, nowMs: () => number): Report {
  const problems = createProblemList(output);
  const retryNotice = createRetryNotice(output, nowMs);
  let errorsFound = 0;
  return (event) => {
    switch (event.event) {
      case 'run-started':
        errorsFound = 0;
        progress.start(event.volumes.length);
        return output.note(runTitle(event));
      case 'volume-started':
        progress.startVolume(event.volume);
        // What is read in another way than from its directory, whose owner may wonder why it takes longer.
        if (event.from !== undefined && (output.verbose || !event.from.startsWith('/')))
          output.note(`${displayText(event.volume)}: reading through ${displayText(event.from)}`);
        if (output.verbose)
          output.note(`${displayText(event.volume)}: ${event.parent ? `compared with ${shortId(event.parent)}` : 'no parent'}`);
        return;
      case 'progress':
        return progress.update(event);
      case 'file-problem':
        return problems.add(event);
      case 'warning':
        return output.warning(`${event.volume}: ${event.warning} (${formatCount(event.count, 'time')})`);
      case 'snapshot':
        problems.finishVolume(event.volume);
        return output.line(output.quiet ? `${displayText(event.volume)} ${shortId(event.id)}` : snapshotLine(event, output));
      case 'cut-planned':
        for (const line of cutPlanLines(event)) output.note(line);
        return;
      case 'cut-finished':
        for (const { container, action, downtimeMs } of event.containers)
          output.note(`${displayText(container)} was ${action === 'pause' ? 'paused' : 'stopped'} for ${formatDuration(downtimeMs)}`);
        return;
      case 'restored':
        problems.finishVolume(event.volume);
        return output.line(output.quiet ? `${displayText(event.volume)} ${displayText(event.target)}` : restoredLine(event, output));
      case 'snapshot-copied':
        // Nothing to tell of most of them when the copy is made every night.
        if (event.outcome !== 'present' || output.verbose) output.line(copiedLine(event, output));
        return;
      case 'finding':
        if (event.finding.severity === 'error') errorsFound += 1;
        for (const line of findingLines(event.finding, output)) output.line(line);
        return;
      case 'storage-retry':
        return retryNotice(event);
      case 'run-finished':
        problems.finishAll();
        progress.clear();
        if (event.operation === 'check') return output.line(checkVerdict(event, errorsFound, output));
        return output.note(runVerdict(event));
      case 'error':
        return output.error(errorFromDocument(event.error));
    }
  };
}

/** Shows the first problems of each kind and counts the rest. */
function createProblemList(output: Omit<Output, 'report'>) {
  const counts = new Map<string, Map<string, number>>();
  const finishVolume = (volume: string): void => {
    for (const [problem, count] of counts.get(volume) ?? []) {
      if (count > problemsShown)
        output.warning(`${volume}: ${problem}: ${formatCount(count - problemsShown)} more (--json lists them all)`);
    }
    counts.delete(volume);
  };
  return {
    add({ volume, file, problem, message }: Event<'file-problem'>): void {
      const ofVolume = counts.get(volume) ?? new Map<string, number>();
      counts.set(volume, ofVolume);
      const count = (ofVolume.get(problem) ?? 0) + 1;
      ofVolume.set(problem, count);
      if (count <= problemsShown) output.warning(`${volume}: ${problem}: ${file}: ${message}`);
    },
    finishVolume,
    finishAll(): void {
      for (const volume of [...counts.keys()]) finishVolume(volume);
    },
  };
}

const titles = {
  backup: 'Backing up',
  restore: 'Restoring',
  check: 'Checking',
  copy: 'Copying',
  import: 'Importing',
  drill: 'Drilling',
} as const;

function runTitle({ operation, volumes }: Event<'run-started'>): string {
  const [only] = volumes;
  const what =
    volumes.length === 0 || only === undefined
      ? 'the repository'
      : volumes.length === 1
        ? displayText(only)
        : formatCount(volumes.length, 'volume');
  return `${titles[operation]} ${what}`;
}

function snapshotLine(
  { volume, id, consistency, dryRun, unreadable, summary }: Event<'snapshot'>,
  { style }: Omit<Output, 'report'>,
): string {
  const name = style.strong(displayText(volume));
  const total = `${formatCount(summary.totalFilesProcessed, 'file')}, ${formatSize(summary.totalBytesProcessed)}`;
  const changes = `${formatCount(summary.filesNew)} new, ${formatCount(summary.filesChanged)} changed`;
  const added = `${formatSize(summary.dataAdded)} ${dryRun ? 'would be added' : `added, ${formatSize(summary.dataAddedPacked)} stored`}`;
  const grade = consistency === 'torn' ? style.warning('torn') : consistency;
  const missing = unreadable === 0 ? '' : `; ${style.bad(`${formatCount(unreadable, 'file')} unreadable`)}`;
  return `${name}: ${dryRun ? 'dry run' : `snapshot ${shortId(id)}`} (${grade}), ${total}; ${changes}; ${added}${missing}`;
}

function cutPlanLines({ volumes, halts }: Event<'cut-planned'>): string[] {
  const lines = volumes.map(({ volume, way, reason }) => `${displayText(volume)}: ${way} (${displayText(reason)})`);
  const halted = halts.flat().map(({ container, action }) => `${action} ${displayText(container)}`);
  return halted.length === 0 ? lines : [...lines, `in this order: ${halted.join(', ')}`];
}

function restoredLine({ volume, snapshot, target, result }: Event<'restored'>, { style }: Omit<Output, 'report'>): string {
  const parts = [
    `${formatCount(result.filesRestored, 'file')} restored (${formatSize(result.bytesWritten)} written)`,
    ...(result.filesUnchanged > 0 ? [`${formatCount(result.filesUnchanged)} unchanged`] : []),
    ...(result.filesSkipped > 0 ? [`${formatCount(result.filesSkipped)} skipped`] : []),
    ...(result.entriesDeleted > 0 ? [`${formatCount(result.entriesDeleted)} deleted`] : []),
    ...(result.problems > 0 ? [style.bad(formatCount(result.problems, 'problem'))] : []),
    ...(result.warnings > 0 ? [style.warning(formatCount(result.warnings, 'warning'))] : []),
    ...(result.verified ? [style.good('verified')] : []),
  ];
  const where = `${shortId(snapshot)} to ${displayText(target)}`;
  return `${style.strong(displayText(volume))}: ${where}: ${parts.join(', ')} in ${formatDuration(result.durationMs)}`;
}

const copyOutcomes = { copied: 'copied', 'would-copy': 'would be copied', present: 'is there already', damaged: 'not copied' } as const;

function copiedLine({ volume, source, id, time, outcome }: CopiedSnapshot, { style }: Omit<Output, 'report'>): string {
  const verdict = outcome === 'damaged' ? style.bad(copyOutcomes.damaged) : copyOutcomes[outcome];
  const where = id === undefined ? '' : ` as ${shortId(id)}`;
  return `${style.strong(displayText(volume))}: ${shortId(source)} of ${time.replace(/\.\d+/, '')}: ${verdict}${where}`;
}

function findingLines({ severity, kind, message, file, affects }: CheckFinding, { style }: Omit<Output, 'report'>): string[] {
  const label = severity === 'error' ? style.bad('error') : style.dim('note');
  const lines = [`${label} ${kind}: ${file === undefined ? '' : `${displayText(file)}: `}${displayText(message)}`];
  for (const { snapshot, volume, paths } of affects) {
    const shown = paths.slice(0, pathsShown).map(displayText);
    const more = paths.length > pathsShown ? [`and ${formatCount(paths.length - pathsShown)} more`] : [];
    const list = paths.length === 0 ? '' : `: ${[...shown, ...more].join(', ')}`;
    lines.push(`  affects snapshot ${shortId(snapshot)}${volume === undefined ? '' : ` of ${displayText(volume)}`}${list}`);
  }
  return lines;
}

function checkVerdict({ durationMs, exitCode }: Event<'run-finished'>, errorsFound: number, { style }: Omit<Output, 'report'>): string {
  const found = errorsFound === 0 && exitCode === exitCodes.done;
  const verdict = found
    ? style.good('no errors found')
    : style.bad(errorsFound === 0 ? 'the check failed' : `${formatCount(errorsFound, 'error')} found`);
  return `${verdict} in ${formatDuration(durationMs)}`;
}

const lacks: Partial<Record<Operation, string>> = {
  backup: 'some data could not be read',
  import: 'not everything was taken over',
};

function runVerdict({ durationMs, exitCode, operation }: Event<'run-finished'>): string {
  const time = formatDuration(durationMs);
  if (exitCode === exitCodes.done) return `Done in ${time}`;
  if (exitCode === exitCodes.incomplete) {
    const lack = lacks[operation] ?? 'not everything could be restored as it was';
    return `Done in ${time}, but ${lack} (exit code ${exitCode})`;
  }
  return `Ended after ${time} with exit code ${exitCode}`;
}
