/** The closing tables: what each step handled and took, and the recoveries against the objectives. */
import { createStyle, tableLines } from '../../src/cli/output/text.ts';
import { formatCount } from '../../src/cli/output/units.ts';
import { formatDuration, formatSize } from '../../src/model/quantities.ts';

export type Step = {
  what: string;
  files?: number;
  bytes?: number;
  storedBytes?: number;
  seconds: number;
  result: string;
};

export type Recovery = {
  disaster: string;
  /** Age of the restore point when the disaster struck: the work that is lost. */
  pointMs: number;
  /** From the disaster to the end of the restore. */
  timeMs: number;
};

export type Objectives = { rpoMs: number; rtoMs: number };

const left = (title: string) => ({ title });
const right = (title: string) => ({ title, align: 'right' as const });
const plain = createStyle(false);

export function stepTable(steps: readonly Step[]): string[] {
  const columns = [left('STEP'), right('FILES'), right('BYTES'), right('NEW BYTES STORED'), right('SECONDS'), left('RESULT')];
  const rows = steps.map(({ what, files, bytes, storedBytes, seconds, result }) => [
    what,
    files === undefined ? '-' : formatCount(files),
    bytes === undefined ? '-' : formatSize(bytes),
    storedBytes === undefined ? '-' : formatSize(storedBytes),
    seconds.toFixed(1),
    result,
  ]);
  return tableLines(columns, rows, plain);
}

export function objectiveTable(recoveries: readonly Recovery[], { rpoMs, rtoMs }: Objectives): string[] {
  const columns = [left('DISASTER'), right('WORK LOST'), right('RPO'), left(''), right('RECOVERED IN'), right('RTO'), left('')];
  const verdict = (measuredMs: number, objectiveMs: number) => (measuredMs <= objectiveMs ? 'met' : 'MISSED');
  const rows = recoveries.map(({ disaster, pointMs, timeMs }) => [
    disaster,
    formatDuration(pointMs),
    formatDuration(rpoMs),
    verdict(pointMs, rpoMs),
    formatDuration(timeMs),
    formatDuration(rtoMs),
    verdict(timeMs, rtoMs),
  ]);
  return tableLines(columns, rows, plain);
}
