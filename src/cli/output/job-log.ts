import type { EngineEvent } from '../../model/events.ts';
import { formatDuration } from '../../model/quantities.ts';
import { errorLines } from './errors.ts';
import type { Output } from './output.ts';
import { noProgress } from './progress.ts';
import { createRenderer } from './render.ts';
import { createStyle, displayText } from './text.ts';
import { formatLocalTime } from './units.ts';

type Level = 'info' | 'warning' | 'error';

const width = 'warning'.length;
const plain = createStyle(false);

/**
 * Returns what makes text of the lines of a job's log, in their order: `2026-01-31 02:30:05 warning uploads: ...`, as the command itself would
 * have said it. Progress is left out.
 */
export function createJobLogText(): (line: string, atMs: number) => string[] {
  let [said, nowMs]: [string[], number] = [[], 0];
  const say = (level: Level, text: string) => {
    for (const one of text.split('\n')) said.push(`${formatLocalTime(nowMs, true)} ${level.padEnd(width)} ${one}`);
  };
  const output: Omit<Output, 'report'> = {
    json: false,
    quiet: false,
    verbose: false,
    style: plain,
    line: (text = '') => say('info', text),
    table: () => undefined,
    document: () => undefined,
    note: (text) => say('info', text),
    warning: (message) => say('warning', displayText(message)),
    error: (error) => say('error', errorLines(error, plain, false).join('\n')),
    close: () => undefined,
  };
  const report = createRenderer(output, noProgress, () => nowMs);
  return (line, atMs) => {
    [said, nowMs] = [[], atMs];
    try {
      show(JSON.parse(line) as Line);
    } catch {
      // None of this program's, or one in the middle of which a secret was.
      said = [];
      say('info', displayText(line));
    }
    return said;

    function show(document: Line): void {
      if (!('event' in document)) return say('info', displayText(line));
      if (document.event === 'message') return say(document.level === 'warning' ? 'warning' : 'info', displayText(document.message));
      if (document.event !== 'drilled') return report(document);
      const { volume, durationMs, verified } = document;
      const outcome = verified ? `brought back and verified in ${formatDuration(durationMs)}` : 'is not as it was';
      say(verified ? 'info' : 'error', `${displayText(volume)}: ${outcome}`);
    }
  };
}

type Line =
  | EngineEvent
  | { event: 'message'; level: string; message: string }
  | { event: 'drilled'; volume: string; durationMs: number; verified: boolean }
  | { volume: string };
