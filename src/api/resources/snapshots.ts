import type { RunEvidence } from '../../control/state/evidence-pages.ts';
import type { SnapshotEvidence } from '../../control/state/evidence-table.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { AnswerOf } from '../contract/operations.ts';
import type { Asked, Download, JsonHandler, Served } from './handlers.ts';
import { linesOf } from './lines.ts';
import { numberCursor, type Page, timeCursor, timeCursorText } from './paging.ts';

/** Snapshots: what is known of them, and what is in them, which a process of its own reads. */

export const listSnapshots: JsonHandler<'listSnapshots'> = ({ plane }, { query: { limit, cursor, ...filter } }) => {
  const after = timeCursor(cursor);
  const [id = '', repository = ''] = after?.key.split('~') ?? [];
  const found = plane.evidence.page(filter, { limit: limit + 1, before: after && { timeMs: after.timeMs, id, repository } });
  const items = found.slice(0, limit);
  const last = items.at(-1);
  return found.length > limit && last !== undefined
    ? { items, next: timeCursorText({ timeMs: last.timeMs, key: `${last.id}~${last.repository}` }) }
    : { items };
};

export const getSnapshot: JsonHandler<'getSnapshot'> = (served, { parameters, query }) =>
  snapshotOf(served, parameters.snapshot, query.repository);

/** The id of a snapshot, or its beginning. @throws `snapshot-missing`, `snapshot-ambiguous`. */
function snapshotOf({ plane }: Pick<Served, 'plane'>, id: string, repository: string | undefined): SnapshotEvidence {
  const found = plane.evidence.page({ id, repository }, { limit: 100 });
  const [first] = found;
  if (first === undefined) throw new HoldfastError('snapshot-missing', `there is no snapshot ${id}`);
  if (found.some((other) => other.id !== first.id)) throw new HoldfastError('snapshot-ambiguous', `several snapshots begin with ${id}`);
  // The same in several repositories is the same snapshot: the one that is configured first is the nearest.
  const order = plane.configuration().repositories.map(({ name }) => name);
  return found.reduce((a, b) => (order.indexOf(b.repository) < order.indexOf(a.repository) ? b : a));
}

/** A page holds at most so many snapshots, or one restore point: of a thousand volumes, a hundred would be too much for one answer. */
const mostOfPage = 1_000;

export const listRestorePoints: JsonHandler<'listRestorePoints'> = ({ plane }, { query: { limit, cursor, repository } }) => {
  const after = timeCursor(cursor);
  const keyOf = ({ run, repository: name }: RunEvidence) => `${run}~${name}`;
  const found = plane.evidence.runs({ repository }, { limit: limit + 1, beforeMs: after?.timeMs, beforeKey: after?.key });
  const shown: RunEvidence[] = [];
  let held = 0;
  for (const run of found.slice(0, limit)) {
    held += run.snapshots;
    if (shown.length > 0 && held > mostOfPage) break;
    shown.push(run);
  }
  const all = plane.configuration().volumes.map(({ name }) => name);
  const items = shown.map(({ run, repository: name, timeMs }) => {
    const snapshots = plane.evidence.ofRun(run, name);
    const has = new Set(snapshots.map(({ volume }) => volume));
    return { repository: name, run, timeMs, snapshots, lacks: all.filter((volume) => !has.has(volume)) };
  });
  const last = shown.at(-1);
  return shown.length < found.length && last !== undefined
    ? { items, next: timeCursorText({ timeMs: last.timeMs, key: keyOf(last) }) }
    : { items };
};

/** Who waits for a page waits no longer, its turn included. */
const readingMs = 10 * 60_000;

export const listFiles: JsonHandler<'listFiles'> = async (served, { parameters, query, signal, caller }) => {
  const { limit, cursor, repository, path } = query;
  const snapshot = snapshotOf(served, parameters.snapshot, repository);
  const words = ['ls', '--json', '--repository', snapshot.repository, '--', snapshot.id, path ?? ''];
  return readPage<AnswerOf<'listFiles'>['items'][number]>(served, words, { limit, cursor, signal, who: caller.name });
};

export const diffSnapshots: JsonHandler<'diffSnapshots'> = async (served, { parameters, query, signal, caller }) => {
  const { limit, cursor, path } = query;
  const before = snapshotOf(served, parameters.snapshot, query.repository);
  const after = snapshotOf(served, parameters.later, query.repository ?? before.repository);
  const where = path === undefined || path === '' ? [] : [`--path=${path}`];
  const words = ['diff', '--json', '--repository', before.repository, ...where, '--', before.id, after.id];
  return readPage<AnswerOf<'diffSnapshots'>['items'][number]>(served, words, { limit, cursor, signal, who: caller.name });
};

/** A page of the lines that a command writes; a snapshot never changes, so that counting them is a cursor. @throws `deadline`. */
async function readPage<Item extends { path: string }>(
  { plane, readers }: Served,
  words: readonly string[],
  { limit, cursor, signal, who }: { limit: number; cursor: string | undefined; signal: AbortSignal; who: string },
): Promise<Page<Item>> {
  const from = numberCursor(cursor) ?? 0;
  const tooLong = AbortSignal.timeout(readingMs);
  const either = AbortSignal.any([signal, tooLong]);
  let endTurn = () => {};
  try {
    endTurn = await readers.take(who, either);
    const items: Item[] = [];
    let place = 0;
    for await (const line of linesOf(plane.read(words, either))) {
      const item = JSON.parse(line) as Partial<Item>;
      // The totals of a comparison.
      if (item.path === undefined) continue;
      if (place === from + limit) return { items, next: String(place) };
      if (place++ >= from) items.push(item as Item);
    }
    return { items };
  } catch (cause) {
    if (!tooLong.aborted || signal.aborted) throw cause;
    throw new HoldfastError('deadline', `reading the snapshot took longer than ${readingMs / 60_000} minutes`, {
      cause,
      remedy: 'ask for a smaller part of it, or run the same command where the daemon runs',
    });
  } finally {
    endTurn();
  }
}

/** Reads until the first byte, so that what goes wrong before is answered as any error is. What goes wrong later breaks the answer off. */
export async function downloadFile(served: Served, { parameters, query, signal, caller }: Asked<'downloadFile'>): Promise<Download> {
  const { plane, readers, now } = served;
  const snapshot = snapshotOf(served, parameters.snapshot, query.repository);
  const path = query.path ?? '';
  const words = ['dump', '--json', '--repository', snapshot.repository, '--archive', query.archive, '--', snapshot.id, path];
  const endTurn = await readers.take(caller.name, signal);
  // The abort comes in any case, also when nobody ever reads the answer.
  signal.addEventListener('abort', endTurn, { once: true });
  const reading = plane.read(words, signal)[Symbol.asyncIterator]();
  const first = await reading.next();
  // Before any of it goes out. What is not there is no entry: asking for it without end must not fill the log.
  plane.auditLog.add({
    atMs: now(),
    who: caller.name,
    what: 'download',
    document: { repository: snapshot.repository, snapshot: snapshot.id, volume: snapshot.volume, path },
  });
  async function* bytes(): AsyncGenerator<Uint8Array> {
    for (let part = first; !part.done; part = await reading.next()) yield part.value;
  }
  const base = path.split('/').findLast((part) => part !== '' && part !== '.');
  return { name: base ?? `${snapshot.volume}.${query.archive}`, bytes: bytes() };
}
