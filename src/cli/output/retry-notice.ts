/** Says that a storage is in trouble: each retry when asked for details, else a warning when it lasts. */
import type { EngineEvent } from '../../model/events.ts';
import { formatDuration } from '../../model/quantities.ts';
import type { Output } from './output.ts';
import { displayText } from './text.ts';

type Retry = Extract<EngineEvent, { event: 'storage-retry' }>;

/** A failure that passes sooner is nobody's business. */
const patienceMs = 10_000;
const repeatMs = 60_000;

/** `nowMs` is a clock that only grows. */
export function createRetryNotice(output: Pick<Output, 'verbose' | 'note' | 'warning'>, nowMs: () => number): (retry: Retry) => void {
  let warnedMs = Number.NEGATIVE_INFINITY;
  return ({ storage, what, attempt, waitMs, troubleMs, reason }) => {
    if (output.verbose)
      output.note(displayText(`${storage}: ${what} failed (attempt ${attempt}), again in ${formatDuration(waitMs)}: ${reason}`));
    if (troubleMs < patienceMs || nowMs() - warnedMs < repeatMs) return;
    warnedMs = nowMs();
    output.warning(`${storage} has been failing for ${formatDuration(troubleMs)}, trying again: ${reason}`);
  };
}
