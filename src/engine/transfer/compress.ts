/** How an archive is compressed on its way out. */
import { constants, createGzip, createZstdCompress } from 'node:zlib';

export const exportFormats = ['tar', 'tar.gz', 'tar.zst'] as const;
export type ExportFormat = (typeof exportFormats)[number];

/** A stream to send the archive through, if any. All of them end with a checksum, by which a cut or changed archive is noticed. */
export function compressorFor(format: ExportFormat): NodeJS.ReadWriteStream | undefined {
  if (format === 'tar') return undefined;
  if (format === 'tar.gz') return createGzip({ chunkSize: 128 * 1024 });
  return createZstdCompress({ chunkSize: 128 * 1024, params: { [constants.ZSTD_c_checksumFlag]: 1 } });
}
