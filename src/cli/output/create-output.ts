import { redactUrls } from '../../model/redact-url.ts';
import { errorEvent, errorLines } from './errors.ts';
import { jsonLine } from './json.ts';
import type { Output } from './output.ts';
import { createProgress, noProgress } from './progress.ts';
import { createRenderer } from './render.ts';
import type { Sink } from './sink.ts';
import { type Column, createStyle, displayText, tableLines } from './text.ts';

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
      if (!json && !quiet) write(stderr, `${redactUrls(text)}\n`);
    },
    warning: (text: string) => {
      const message = redactUrls(text);
      complain([`${errorStyle.warning('warning:')} ${displayText(message)}`], { event: 'message', level: 'warning', message });
    },
    error: (error: unknown) => complain(errorLines(error, errorStyle, verbose), errorEvent(error)),
    close: () => progress.clear(),
  };
  return { ...base, report: createRenderer(base, progress, options.nowMs) };
}
