import type { Report } from '../../model/events.ts';
import type { Column, Style } from './text.ts';

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
