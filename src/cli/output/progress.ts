import { formatDuration, formatSize } from '../../model/quantities.ts';
import type { Sink } from './sink.ts';
import { displayText, displayWidth } from './text.ts';
import { formatCount, formatPercent, formatRate } from './units.ts';

/** One line that says how far the work is: redrawn in place on a terminal, written now and then to a log. */

export type ProgressState = { volume: string; filesDone: number; bytesDone: number; filesTotal?: number; bytesTotal?: number };

export type Progress = {
  /** How many volumes the run has. */
  start(volumeCount: number): void;
  startVolume(volume: string): void;
  update(state: ProgressState): void;
  /** Takes the line away, so that something else can be written; the next update draws it again. */
  clear(): void;
};

export const noProgress: Progress = {
  start: () => undefined,
  startVolume: () => undefined,
  update: () => undefined,
  clear: () => undefined,
};

const redrawIntervalMs = 100;
const logIntervalMs = 5 * 60_000;
/** Over how long the rate is averaged: long enough that the time left doesn't jump, short enough to follow a change. */
const rateWindowMs = 10_000;

/** Bytes a second, as an exponential moving average over the window. */
export function createRateMeter() {
  let lastMs: number | undefined;
  let lastBytes = 0;
  let rate: number | undefined;
  return (nowMs: number, bytes: number): number | undefined => {
    if (lastMs !== undefined && nowMs > lastMs) {
      const sample = (Math.max(0, bytes - lastBytes) / (nowMs - lastMs)) * 1000;
      const weight = rate === undefined ? 1 : 1 - Math.exp(-(nowMs - lastMs) / rateWindowMs);
      rate = (rate ?? 0) + weight * (sample - (rate ?? 0));
    }
    if (lastMs === undefined || nowMs > lastMs) [lastMs, lastBytes] = [nowMs, bytes];
    return rate;
  };
}

/** The parts of the line, the most important first. */
export function progressParts(state: ProgressState, position: string, bytesPerSecond: number | undefined): string[] {
  const { filesDone, filesTotal, bytesDone, bytesTotal } = state;
  const parts = [`${position}${displayText(state.volume)}`];
  if (bytesTotal !== undefined && bytesTotal > 0) parts.push(formatPercent(bytesDone, bytesTotal));
  else if (filesTotal !== undefined) parts.push(formatPercent(filesDone, filesTotal));
  parts.push(formatSize(bytesDone) + (bytesTotal === undefined ? '' : ` of ${formatSize(bytesTotal)}`));
  parts.push(filesTotal === undefined ? formatCount(filesDone, 'file') : `${formatCount(filesDone)} of ${formatCount(filesTotal, 'file')}`);
  if (bytesPerSecond !== undefined) parts.push(formatRate(bytesPerSecond));
  if (bytesPerSecond !== undefined && bytesPerSecond > 0 && bytesTotal !== undefined && bytesTotal > bytesDone) {
    parts.push(`${formatDuration(Math.ceil((bytesTotal - bytesDone) / bytesPerSecond) * 1000)} left`);
  }
  return parts;
}

/** As many of the parts as fit into the width. */
function partsThatFit(parts: readonly string[], width: number): string {
  let line = '';
  for (const part of parts) {
    const longer = line === '' ? part : `${line}  ${part}`;
    if (displayWidth(longer) > width) break;
    line = longer;
  }
  return line;
}

/** `nowMs` is the clock in milliseconds, which tests replace. */
export function createProgress(sink: Sink, nowMs: () => number = () => performance.now()): Progress {
  const terminal = sink.isTTY === true;
  const intervalMs = terminal ? redrawIntervalMs : logIntervalMs;
  let volumeCount = 0;
  let volumesStarted = 0;
  let current = '';
  let meter = createRateMeter();
  let drawn = false;
  // The first line of a log comes when the work has proved to be long.
  let lastDrawMs = terminal ? Number.NEGATIVE_INFINITY : nowMs();

  const clear = (): void => {
    if (drawn) sink.write('\r\x1b[K');
    drawn = false;
    if (terminal) lastDrawMs = Number.NEGATIVE_INFINITY;
  };
  return {
    start(count) {
      volumeCount = count;
      volumesStarted = 0;
    },
    startVolume(volume) {
      volumesStarted += 1;
      current = volume;
      meter = createRateMeter();
    },
    update(state) {
      const now = nowMs();
      if (now - lastDrawMs < intervalMs) return;
      lastDrawMs = now;
      if (state.volume !== current) {
        current = state.volume;
        meter = createRateMeter();
      }
      const position = volumeCount > 1 && volumesStarted > 0 ? `[${volumesStarted}/${volumeCount}] ` : '';
      const parts = progressParts(state, position, meter(now, state.bytesDone));
      if (terminal) sink.write(`\r\x1b[K${partsThatFit(parts, (sink.columns ?? 80) - 1)}`);
      else sink.write(`${parts.join('  ')}\n`);
      drawn = terminal;
    },
    clear,
  };
}
