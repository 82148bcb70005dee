import type { RawString } from '../../model/raw-bytes.ts';

/** The file at the root of an exported archive that says what is in it. */
export const exportFileName = 'holdfast-export.json' as RawString;
