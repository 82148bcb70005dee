import { createHash } from 'node:crypto';
import { type Logger, pino } from 'pino';

export type Severity = 'debug' | 'info' | 'warn' | 'error';

/** A line of the daemon's log. Values of attributes are names, numbers and words of fixed lists; keys are dotted, as OpenTelemetry's are. */
export type LogRecord = {
  severity: Severity;
  /** What kind of line it is; stable, for programs. */
  eventName: `holdfast.${string}`;
  /** For people: one line, without a full stop. */
  body: string;
  attributes: Readonly<Record<string, string | number | undefined>>;
  /** The job that it is about. */
  job?: { id: string; attempt: number };
};

export type Log = (record: LogRecord) => void;

export type JsonLogOptions = {
  /** Takes a line with its end. */
  write(line: string): unknown;
  /** Takes secrets out of a text. */
  redact(text: string): string;
  /** Less is left out. */
  least: Severity;
  /** What writes: `service.name` and so on. */
  resource: Readonly<Record<string, string>>;
  now(): Date;
};

/** Of the data model's ranges, the first number each. */
const severityNumbers: Readonly<Record<string, number>> = { debug: 5, info: 9, warn: 13, error: 17 };

/** JSON lines with the fields of OpenTelemetry's log data model, https://opentelemetry.io/docs/specs/otel/logs/data-model/, in lower camel case. */
export function createJsonLog({ write, redact, least, resource, now }: JsonLogOptions): Log {
  const logger: Logger = pino(
    {
      level: least,
      base: { resource },
      messageKey: 'body',
      timestamp: () => `,"timestamp":"${now().toISOString()}"`,
      formatters: { level: (label) => ({ severityText: label.toUpperCase(), severityNumber: severityNumbers[label] }) },
    },
    { write },
  );
  return ({ severity, eventName, body, attributes, job }) => {
    const clean = Object.entries(attributes).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, typeof value === 'string' ? redact(value) : value] as const],
    );
    logger[severity]({ eventName, attributes: Object.fromEntries(clean), ...(job && traceOf(job)) }, redact(body));
  };
}

/** The trace is the job, a span is an attempt of it: made from the id, so that whoever knows a job finds its lines, and needs no memory. */
export function traceOf({ id, attempt }: { id: string; attempt: number }): { traceId: string; spanId: string } {
  const digest = (text: string, length: number) => createHash('sha256').update(text).digest('hex').slice(0, length);
  return { traceId: digest(`holdfast job ${id}`, 32), spanId: digest(`holdfast job ${id} attempt ${attempt}`, 16) };
}
