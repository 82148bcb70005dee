import { Cron } from 'croner';
import type { When } from '../configuration/configuration.ts';

/** The instants at which something is due, in milliseconds since 1970. */
export type Instants = {
  /** The first after an instant; undefined when there is none. */
  after(ms: number): number | undefined;
  /** The last at or before an instant; undefined when there is none. */
  atOrBefore(ms: number): number | undefined;
};

/**
 * Where clocks are put forward, a time that does not exist comes at the instant of the change; where they are put back, one that comes twice
 * counts once, as croner has it (https://croner.56k.guru). Intervals count from 1970.
 */
export function instantsOf(at: When['at']): Instants {
  if (at.kind === 'every') {
    const { everyMs } = at;
    return { after: (ms) => (Math.floor(ms / everyMs) + 1) * everyMs, atOrBefore: (ms) => Math.floor(ms / everyMs) * everyMs };
  }
  const cron = new Cron(at.cron, {
    mode: '5-part',
    paused: true,
    // `5/15`, which cron(8) lacks and many write.
    sloppyRanges: true,
    ...(at.timeZone === undefined ? {} : { timezone: at.timeZone }),
  });
  return {
    after: (ms) => cron.nextRun(new Date(ms))?.getTime(),
    // Croner's instants before are whole seconds, strictly before.
    atOrBefore: (ms) => cron.previousRuns(1, new Date((Math.floor(ms / 1_000) + 1) * 1_000))[0]?.getTime(),
  };
}

/** So many spans between two instants are remembered: the one of now, the ones before, and those of an hour ago. */
const remembered = 4;

/** The same instants. Between two of them nothing changes, and reckoning with time zones takes time. */
export function remembering(instants: Instants): Instants {
  type Span = { fromMs: number; untilMs: number; last: number | undefined; next: number | undefined };
  let known: Span[] = [];
  const around = (ms: number): Span => {
    const found = known.find(({ fromMs, untilMs }) => ms >= fromMs && ms < untilMs);
    if (found !== undefined) return found;
    const [last, next] = [instants.atOrBefore(ms), instants.after(ms)];
    const span = { fromMs: last ?? ms, untilMs: next ?? Number.POSITIVE_INFINITY, last, next };
    known = [span, ...known].slice(0, remembered);
    return span;
  };
  return { after: (ms) => around(ms).next, atOrBefore: (ms) => around(ms).last };
}
