/** Object locks that end soon are extended: a storage whose files cannot be deleted for a term needs that for as long as they are needed. */
import type { StorageAddress } from '../storage/storage.ts';
import { schemeOf } from './compose.ts';
import type { Output } from './output/output.ts';
import { formatCount } from './output/units.ts';

/**
 * Extends the locks of what the repository still holds, where its storage has object locks; says what it did.
 * @throws `storage-denied` without the permission; `interrupted`; `storage`.
 */
export async function renewLocks(address: StorageAddress, output: Output, signal: AbortSignal): Promise<void> {
  if (schemeOf(address.url) !== 's3') return;
  const { parseS3Address } = await import('../storage/s3-settings.ts');
  if (parseS3Address(address).objectLock === undefined) return;
  const { renewRetention } = await import('../storage/s3-retention.ts');
  const { files, extended } = await renewRetention(address, { signal });
  output.document({ event: 'locks-renewed', files, extended });
  output.line(`object locks: ${formatCount(extended)} of ${formatCount(files, 'file')} extended`);
}
