/** Names that an import takes over. */
import type { RawString } from '../../model/raw-bytes.ts';
import { type CleanName, cleanName } from '../source/tar-names.ts';

/** As Linux has them: what is longer could be restored nowhere. */
const maxPathBytes = 4095;
const maxNameBytes = 255;

/** As `cleanName`; refused, too, is what is too long. */
export function importedName(name: RawString): CleanName {
  const clean = cleanName(name);
  if ('refused' in clean) return clean;
  const { path } = clean;
  const tooLong = path.length > maxPathBytes || path.split('/').some((part) => part.length > maxNameBytes);
  return tooLong ? { refused: 'has a name that is too long' } : clean;
}
