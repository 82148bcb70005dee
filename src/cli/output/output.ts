import type { Report } from '../../model/events.ts';
import type { Sink } from '../command.ts';
import { errorEvent, errorLines } from './errors.ts';
import { jsonLine } from './json.ts';
import { createProgress, noProgress } from './progress.ts';
import { createRenderer } from './render.ts';
import { type Column, createStyle, displayText, type Style, tableLines } from './text.ts';

/**
 * The only way by which a command speaks. Results go to stdout; notes, warnings, errors and progress go to stderr. Text is for
 * people; with `--json` stdout has one document or event a line and nothing else, and errors and warnings are
 * lines of JSON on stderr; with `--quiet` there are results and complaints only.
 */
export type Output = {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** For text that goes to stdout. */
  readonly style: Style;
  /** Shows what the engine reports. */
  readonly report: Report;
  /** A line of the result. Nothing with `--json`. Names from outside must be escaped (`displayRaw`, `displayText`). */
  line(text?: string): void;
  /** The result as a table. Nothing with `--json`. */
  table(columns: readonly Column[], rows: readonly (readonly string[])[]): void;
  /** The result, or an element of it, for programs. Nothing without `--json`. */
  document(value: unknown): void;
  /** Guidance for people, on stderr. Nothing with `--json` or `--quiet`. */
  note(text: string): void;
  /** Something that the user should know although the work goes on; shown always. */
  warning(message: string): void;
  /** What went wrong, why, and what to do next. */
  error(error: unknown): void;
  /** Leaves the terminal as it was. */
  close(): void;
};

export type OutputOptions = {
  stdout: Sink;
  stderr: Sink;
  environment: NodeJS.ProcessEnv;
  json?: boolean;
  quiet?: boolean;
  verbose?: boolean;
  /** False with `--no-color`. */
  color?: boolean;
  /** Milliseconds that only grow; tests replace it. */
  nowMs?: () => number;
};

/** Colours only where a terminal shows them and nobody said no (https://no-color.org). */
function colorsFor(sink: Sink, { color, environment }: OutputOptions): boolean {
  return sink.isTTY === true && color !== false && (environment.NO_COLOR ?? '') === '' && environment.TERM !== 'dumb';
}

export function createOutput(options: OutputOptions): Output {
  const { stdout, stderr, json = false, quiet = false, verbose = false } = options;
  const style = createStyle(colorsFor(stdout, options));
  const errorStyle = createStyle(colorsFor(stderr, options));
  const progress = json || quiet ? noProgress : createProgress(stderr, options.nowMs);

  const write = (sink: Sink, text: string): void => {
    progress.clear();
    sink.write(text);
  };
  const outLines = (lines: readonly string[]) => {
    if (!json) write(stdout, lines.map((line) => `${line}\n`).join(''));
  };
  const complain = (lines: readonly string[], event: object) =>
    write(stderr, json ? jsonLine(event) : lines.map((line) => `${line}\n`).join(''));

  const base = {
    json,
    quiet,
    verbose,
    style,
    line: (text = '') => outLines([text]),
    table: (columns: readonly Column[], rows: readonly (readonly string[])[]) => outLines(tableLines(columns, rows, style)),
    document: (value: unknown) => {
      if (json) write(stdout, jsonLine(value));
    },
    note: (text: string) => {
      if (!json && !quiet) write(stderr, `${text}\n`);
    },
    warning: (message: string) =>
      complain([`${errorStyle.warning('warning:')} ${displayText(message)}`], { event: 'message', level: 'warning', message }),
    error: (error: unknown) => complain(errorLines(error, errorStyle, verbose), errorEvent(error)),
    close: () => progress.clear(),
  };
  return { ...base, report: createRenderer(base, progress, options.nowMs) };
}
