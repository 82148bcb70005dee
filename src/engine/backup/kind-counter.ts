/** Counts the files of a volume by the extensions of their names, while they are looked at. */
import { isWellKnown, kindOf, knownRest, longestExtension, unknownRest } from '../../model/file-kinds.ts';
import type { KindCount } from './messages.ts';

export type KindCounter = {
  /** A file, by its name without a path. */
  add(name: string): void;
  /** Files by kind; then it begins anew. */
  take(): KindCount[];
};

/** So many spellings are counted one by one; names that end in something else each must not take memory. */
const mostSpellings = 4096;

/** `.1` of a log that was rotated, `-20260131`, `.so.1.2`: what follows is no extension. */
const numbers = /(?:[.\-_]\d+)+$/;

export function createKindCounter(): KindCounter {
  let cells = new Map<string, { files: number }>();
  let rests = { [unknownRest]: 0, [knownRest]: 0 };

  function addNew(extension: string): void {
    if (cells.size < mostSpellings) cells.set(extension, { files: 1 });
    else rests[isWellKnown(kindOf(extension)) ? knownRest : unknownRest]++;
  }

  return {
    add(name) {
      const last = name.charCodeAt(name.length - 1);
      const named = last >= 48 && last <= 57 ? name.replace(numbers, '') : name;
      const dot = named.lastIndexOf('.');
      // A name that begins with its only dot has no extension.
      const length = dot <= 0 ? 0 : named.length - dot - 1;
      if (length > longestExtension) {
        rests[unknownRest]++;
        return;
      }
      const extension = length === 0 ? '' : named.slice(dot + 1);
      const cell = cells.get(extension);
      if (cell === undefined) addNew(extension);
      else cell.files++;
    },
    take() {
      const kinds = new Map<string, number>(Object.entries(rests).filter(([, files]) => files > 0));
      for (const [extension, { files }] of cells) {
        const kind = kindOf(extension);
        kinds.set(kind, (kinds.get(kind) ?? 0) + files);
      }
      cells = new Map();
      rests = { [unknownRest]: 0, [knownRest]: 0 };
      return [...kinds];
    },
  };
}
