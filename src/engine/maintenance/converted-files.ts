/** Whether files of a volume became others of a kind that it never held: what ransomware leaves. Pure. */
import { type FileKinds, isOfRansomware, isWellKnown, parseKinds } from '../../model/file-kinds.ts';

/** So much of what was there must have become something else at once, or over what is looked back at. */
const suspiciousPercent = 20;
/** Of extensions that hardly anything but ransomware gives. */
const ransomwarePercent = 5;
const fewFiles = 10;
/** A kind of which there was less is new when there is much of it. */
const rarePercent = 2;

/** The kind of files without an extension. */
const unnamed = '';

/** So far back it is compared. What changes over a longer time is the life of a volume. Each hour of it may have a snapshot. */
const lookBackMs = 30 * 86_400_000;
const lookBackSnapshots = 800;
/** Below that there is no history. */
const leastHistory = 3;

export type Conversion = { percent: number; kind: string | undefined; ofRansomware: boolean };

/**
 * What became of the files between two counts. Only lower bounds are taken: what was renamed cannot be told from what went while other files
 * came, and of kinds that are not listed only the most is known.
 * @returns undefined when it is nothing out of the ordinary.
 */
function convertedFiles(now: FileKinds, before: FileKinds): Conversion | undefined {
  // Most volumes hold next to nothing that could have been converted.
  if (now.unfamiliar < fewFiles || now.unfamiliar * 100 < before.total * ransomwarePercent) return undefined;
  const lost = lostFiles(now, before);
  for (const ofRansomware of [true, false]) {
    const { files, kind } = foreignFiles(now, before, ofRansomware);
    const converted = Math.min(files, lost);
    const percent = (100 * converted) / before.total;
    if (converted >= fewFiles && percent >= (ofRansomware ? ransomwarePercent : suspiciousPercent)) return { percent, kind, ofRansomware };
  }
  return undefined;
}

/** Files of kinds that there were hardly any of before, and that nobody would expect. */
function foreignFiles(now: FileKinds, before: FileKinds, ofRansomware: boolean): { files: number; kind: string | undefined } {
  const isRare = (files: number) => files * 100 <= before.total * rarePercent;
  let files = 0;
  let most: { kind: string | undefined; gain: number } = { kind: undefined, gain: 0 };
  const add = (kind: string | undefined, gain: number) => {
    if (gain <= 0) return;
    files += gain;
    if (gain > most.gain) most = { kind, gain };
  };
  for (const [kind, has] of now.listed) {
    if (isWellKnown(kind) || (ofRansomware && !isOfRansomware(kind))) continue;
    const listed = before.listed.get(kind);
    const had = listed ?? Math.min(before.least, before.unknown);
    if (listed === undefined ? had * 4 <= has : isRare(listed)) add(kind, has - had);
  }
  if (!ofRansomware && isRare(before.unknown)) {
    // What was listed and is no longer is among the rest.
    const demoted = [...before.listed].filter(([kind]) => !isWellKnown(kind) && !now.listed.has(kind));
    add(undefined, now.unknown - before.unknown - demoted.reduce((sum, [, had]) => sum + Math.min(had, now.least), 0));
  }
  return { files, kind: most.kind };
}

/** Files of kinds of which there are fewer now. */
function lostFiles(now: FileKinds, before: FileKinds): number {
  let [lost, lostUnnamed] = [0, 0];
  for (const [kind, had] of before.listed) {
    const has = now.listed.get(kind) ?? Math.min(now.least, isWellKnown(kind) ? now.known : now.unknown);
    if (kind === unnamed) lostUnnamed = Math.max(0, had - has);
    else lost += Math.max(0, had - has);
  }
  // What was among the rest and is listed now did not go.
  const promoted = [...now.listed].filter(([kind]) => isWellKnown(kind) && !before.listed.has(kind));
  lost += Math.max(0, before.known - now.known - promoted.reduce((sum, [, has]) => sum + Math.min(has, before.least), 0));
  // Files without an extension go by the thousand when git tidies up: what encrypts takes others as well.
  const hadUnnamed = before.listed.get(unnamed) ?? 0;
  const hadNamed = before.total - hadUnnamed;
  return lost + (hadNamed * 5 < before.total ? lostUnnamed : Math.min(lostUnnamed, (2 * hadUnnamed * lost) / hadNamed));
}

type Known = { text: string; kinds: FileKinds; time: string; timeMs: number };

/** The kinds of the last snapshots of a volume that look good. */
export type KindHistory = {
  /** What is out of the ordinary against them, and since when. */
  judge(text: string | undefined, timeMs: number): (Conversion & { since: string }) | undefined;
  remember(text: string | undefined, time: string, timeMs: number): void;
  forget(): void;
};

export function createKindHistory(): KindHistory {
  let known: Known[] = [];
  /** Most snapshots hold what the one before held. */
  let last: { text: string; kinds: FileKinds } | undefined;
  const parsed = (text: string): FileKinds => {
    if (last?.text !== text) last = { text, kinds: parseKinds(text) };
    return last.kinds;
  };
  return {
    judge(text, timeMs) {
      if (text === undefined || known.length < leastHistory) return undefined;
      // Those before, the farther back the fewer.
      for (let back = 1; back <= known.length; back *= 2) {
        const one = known[known.length - back] as Known;
        if (one.text === text || timeMs - one.timeMs > lookBackMs) continue;
        const found = convertedFiles(parsed(text), one.kinds);
        if (found !== undefined) return { ...found, since: one.time };
      }
      return undefined;
    },
    remember(text, time, timeMs) {
      if (text === undefined) return;
      known.push({ text, kinds: parsed(text), time, timeMs });
      if (known.length > lookBackSnapshots) known.shift();
    },
    forget() {
      known = [];
    },
  };
}
