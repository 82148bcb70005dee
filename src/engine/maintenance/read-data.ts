/** Which packs a check reads whole: all, or a part, as restic's `check --read-data-subset` picks it. */
import { HoldfastError } from '../../model/errors.ts';
import { parseSize } from '../../model/quantities.ts';

export type ReadDataSelection =
  | { select: 'all' }
  /** So many of a hundred packs, at random. */
  | { select: 'percent'; percent: number }
  /** The `part`th of `parts` equal parts, counted from 1: all parts, one a day, make up the repository. */
  | { select: 'part'; part: number; parts: number }
  /** Packs of about so many bytes together, at random. */
  | { select: 'size'; bytes: number };

/** The first byte of a pack's id decides its part. */
const maxParts = 256;

/**
 * What follows `--read-data=`: nothing or `true` for all, `5%`, `2/10`, or a size (`500M`, `1GiB`).
 * @throws `usage`
 */
export function parseReadData(text: string): ReadDataSelection {
  const trimmed = text.trim();
  if (trimmed === '' || trimmed === 'true') return { select: 'all' };
  const percent = /^(\d+(?:\.\d+)?)%$/.exec(trimmed)?.[1];
  if (percent !== undefined && Number(percent) > 0 && Number(percent) <= 100) return { select: 'percent', percent: Number(percent) };
  const [, part, parts] = (/^(\d+)\/(\d+)$/.exec(trimmed) ?? []).map(Number);
  if (part !== undefined && parts !== undefined && part >= 1 && part <= parts && parts <= maxParts) return { select: 'part', part, parts };
  const bytes = parseSize(trimmed);
  if (bytes !== undefined && bytes > 0) return { select: 'size', bytes };
  throw new HoldfastError('usage', `${JSON.stringify(text)} does not say which part of the data to read`, {
    remedy: `give a percentage (5%), a part (2/10, of ${maxParts} at most), or a size (500M)`,
  });
}

export type SizedPack = { id: string; sizeBytes: number };

/**
 * The packs that a selection picks. Percentages and sizes pick at random, at least one pack; parts pick by the first byte of
 * the id (restic, cmd/restic/cmd_check.go, selectPacksByBucket and selectRandomPacksByPercentage).
 * @param random uniform in [0, 1).
 */
export function selectPacks<Pack extends SizedPack>(
  packs: readonly Pack[],
  selection: ReadDataSelection,
  random: () => number = Math.random,
): Pack[] {
  switch (selection.select) {
    case 'all':
      return [...packs];
    case 'part':
      return packs.filter(({ id }) => Number.parseInt(id.slice(0, 2), 16) % selection.parts === selection.part - 1);
    case 'percent':
      return sample(packs, selection.percent / 100, random);
    case 'size': {
      const totalBytes = packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      return sample(packs, Math.min(1, selection.bytes / Math.max(1, totalBytes)), random);
    }
  }
}

/** A share of the packs, drawn without replacement (Fisher and Yates' shuffle, stopped early). */
function sample<Pack>(packs: readonly Pack[], share: number, random: () => number): Pack[] {
  const drawn = [...packs];
  const count = Math.min(drawn.length, Math.max(1, Math.floor(drawn.length * share)));
  for (let i = 0; i < count; i++) {
    const j = i + Math.floor(random() * (drawn.length - i));
    [drawn[i], drawn[j]] = [drawn[j] as Pack, drawn[i] as Pack];
  }
  return drawn.slice(0, count);
}
