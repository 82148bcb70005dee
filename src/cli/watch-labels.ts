import { setTimeout } from 'node:timers/promises';
import type { Daemon } from '../control/daemon.ts';
import { labelledOf, mayHaveLabels, namesDeclaredBy, silentEngine } from '../control/discovery/labelled.ts';
import { projectOf } from '../platform/docker/compose-labels.ts';
import { type EngineEvent, watchEngine } from '../platform/docker/engine-events.ts';
import { helperLabel } from '../platform/docker/helper-label.ts';
import type { LabelledKeeper } from './keep-labelled.ts';
import { displayText } from './output/text.ts';
import { repeatedly } from './repeatedly.ts';

export type LabelWatch = {
  daemon: Pick<Daemon, 'read' | 'subscribe'>;
  keeper: LabelledKeeper;
  /** The Engine's socket; `elsewhere` for one without, which is only asked now and then; undefined where none is. */
  findEngine(): Promise<string | 'elsewhere' | undefined>;
  /** Told, as a sentence, of volumes that come; as a warning of those that are protected no more, and of labels that cannot be seen. */
  onChange(message: string, severity: 'info' | 'warn'): void;
  onFailure(error: unknown): void;
  /** A test's own; milliseconds. */
  pace?: Partial<typeof usualPace>;
};

/** A look takes half a second of a processor, in a process of its own: an Engine that is busy is looked at less often than it tells. */
const usualPace = {
  /** What comes together, such as a project's containers, is looked at together. */
  settleMs: 1_000,
  leastGapMs: 5_000,
  /** An Engine that tells, too: who knows what it has left out. */
  anywayMs: 15 * 60_000,
  /** Those that cannot be listened to. */
  unheardMs: 5 * 60_000,
  /** Until an Engine that is gone is tried again. */
  againMs: 15_000,
};

/** So much is read of what a look says, in UTF-16 units: 10,000 volumes. */
const longest = 32 * 1024 * 1024;

/**
 * Completes, until the abort, a daemon's configuration by the labels of volumes and containers: at once, and when some come or go, as the Engine tells.
 * While none answers, what was known stays. What was declared and is declared no more counts when a second look says so: Compose makes containers anew.
 */
export async function watchLabels(watch: LabelWatch, signal: AbortSignal): Promise<void> {
  const pace = { ...usualPace, ...watch.pace };
  const bell = createBell();
  let engine: 'heard' | 'unheard' | 'gone' | undefined;
  const listen = async () => {
    const place = mayHaveLabels(watch.keeper.written()) ? await watch.findEngine().catch(() => undefined) : undefined;
    if (place === 'elsewhere' || place === undefined) {
      become(place === undefined ? 'gone' : 'unheard');
      return;
    }
    const onEvent = (event: EngineEvent) => {
      if (concerns(event, watch.keeper.written().project)) bell.ring();
    };
    try {
      await watchEngine(place, { onEvent, signal }, () => become('heard'));
      become('unheard');
    } catch (error) {
      become(isNotThere(error) ? 'gone' : 'unheard');
    }
  };
  const become = (next: typeof engine) => {
    if (engine !== next) bell.ring();
    engine = next;
  };
  const look = createLook(watch, bell.ring);
  let seen = watch.keeper.written();
  const unsubscribe = watch.daemon.subscribe(({ event }) => {
    if (event !== 'configuration' || watch.keeper.written() === seen) return;
    seen = watch.keeper.written();
    bell.ring();
  });
  const lookOn = async () => {
    while (!signal.aborted) {
      await bell.wait(engine === 'heard' ? pace.anywayMs : pace.unheardMs, signal);
      await pause(pace.settleMs, signal);
      if (signal.aborted) return;
      bell.still();
      await look(engine === 'gone', signal).catch(watch.onFailure);
      await pause(pace.leastGapMs, signal);
    }
  };
  try {
    await Promise.all([repeatedly(listen, pace.againMs, signal, watch.onFailure), lookOn()]);
  } finally {
    unsubscribe();
  }
}

const pause = (ms: number, signal: AbortSignal) => setTimeout(ms, undefined, { signal }).catch(() => undefined);
const isNotThere = (error: unknown): boolean => ['ENOENT', 'ECONNREFUSED', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');

/** Whether what an Engine tells may have to do with a project's labels. Anonymous volumes, and what Holdfast makes itself, don't. Pure. */
export function concerns({ Type: type, Actor: actor }: EngineEvent, project: string): boolean {
  if (type === 'volume') return !/^[0-9a-f]{64}$/.test(actor?.ID ?? '');
  const labels = actor?.Attributes ?? {};
  if (Object.hasOwn(labels, helperLabel)) return false;
  return projectOf(labels) === project || Object.keys(labels).some((label) => label.startsWith('holdfast.'));
}

type Declared = { engine?: boolean; volumes: ReturnType<LabelledKeeper['known']>[number]['volume'][] };

/** @param again asks for another look. */
function createLook({ daemon, keeper, onChange }: LabelWatch, again: () => void) {
  /** Declared no more, as the look before has found. */
  let missing: ReadonlySet<string> = new Set();
  let isSilent = false;

  const silent = () => {
    const names = namesDeclaredBy(keeper.known());
    if (!isSilent && names.length > 0) onChange(displayText(silentEngine(names)), 'warn');
    isSilent = true;
  };

  return async (isGone: boolean, signal: AbortSignal): Promise<void> => {
    const written = keeper.written();
    if (!mayHaveLabels(written)) return;
    if (isGone) return silent();
    const { engine, volumes } = await ask(daemon, signal);
    // Of what was written before, nobody wants to know; another look has been asked for.
    if (keeper.written() !== written) return;
    if (engine !== true) return silent();
    isSilent = false;
    const before = keeper.known();
    const now = labelledOf(written.volumes, volumes);
    const there = new Set(volumes.map(({ name }) => name));
    const gone = namesDeclaredBy(before).filter((name) => !there.has(name));
    const unsure = gone.filter((name) => !missing.has(name));
    missing = new Set(gone);
    if (unsure.length > 0) again();
    const next = [...now, ...before.filter(({ volume }) => unsure.includes(volume.name))];
    if (JSON.stringify(next) === JSON.stringify(before)) return;
    const lost = gone.filter((name) => !unsure.includes(name));
    if (lost.length > 0)
      onChange(
        displayText(
          `no label declares ${lost.join(', ')} any more, nor does holdfast.yaml: no backup holds this from now on; its snapshots stay`,
        ),
        'warn',
      );
    const known = new Set(namesDeclaredBy(before));
    const came = namesDeclaredBy(next).filter((name) => !known.has(name));
    if (came.length > 0) onChange(displayText(`backups hold what labels declare, too: ${came.join(', ')}`), 'info');
    keeper.learn(next);
  };
}

/** In a process of its own, which brings along the client of the Engine and the parser of YAML. @throws as that process. */
async function ask(daemon: LabelWatch['daemon'], signal: AbortSignal): Promise<Declared> {
  let text = '';
  for await (const bytes of daemon.read(['volumes', '--declared', '--json'], signal)) {
    text += bytes.toString('latin1');
    if (text.length > longest) throw new Error('labels: more was said than can be read');
  }
  return JSON.parse(Buffer.from(text, 'latin1').toString('utf8'));
}

/** What is asked for while nobody listens is heard later, once. */
function createBell() {
  let rung = false;
  let wake = () => {};
  return {
    ring() {
      rung = true;
      wake();
    },
    still() {
      rung = false;
    },
    /** Until it rings, or for so long. */
    async wait(ms: number, signal: AbortSignal): Promise<void> {
      if (rung) return;
      const over = new AbortController();
      const heard = new Promise<void>((resolve) => {
        wake = resolve;
      });
      await Promise.race([heard, pause(ms, AbortSignal.any([signal, over.signal]))]);
      over.abort();
    },
  };
}
