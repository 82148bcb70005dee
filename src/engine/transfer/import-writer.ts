/** Where the blobs of an import go: packs that the main thread fills, and the index of them. */
import { setTimeout } from 'node:timers/promises';
import type { Clock } from '../../model/clock.ts';
import { HoldfastError } from '../../model/errors.ts';
import { createIndexWriter } from '../../repository/index-writer.ts';
import { PackWriter, storePack } from '../../repository/pack-writer.ts';
import type { Repository } from '../../repository/repository.ts';
import { joinPartialPacks } from '../backup/join-packs.ts';

export type ImportWriter = {
  /** Undefined for a dry run. */
  packs: PackWriter | undefined;
  /** Stores and indexes all that was added: after this, snapshots may name it. Ends the writer. */
  makeDurable(): Promise<void>;
  /**
   * After a failure: what was stored is indexed, so that another try reuses it; nothing at all when the lock was lost, because a prune may
   * have removed it since. Never throws.
   */
  keepWhatIsStored(error: unknown): Promise<void>;
};

export type ImportWriterOptions = {
  repository: Repository;
  /** zstd's. */
  compressionLevel: number;
  dryRun: boolean;
  clock: Clock;
  signal: AbortSignal;
};

const indexCheckEveryMs = 5000;

export function createImportWriter({ repository, compressionLevel, dryRun, clock, signal }: ImportWriterOptions): ImportWriter {
  const { storage, seal, config } = repository;
  const index = createIndexWriter(repository);
  const packs = dryRun
    ? undefined
    : new PackWriter({ storage, seal, formatVersion: config.version, level: compressionLevel, onStored: (pack) => index.add(pack) });
  const ticking = new AbortController();
  const ticks = indexNowAndThen();

  async function indexNowAndThen(): Promise<void> {
    while (!ticking.signal.aborted) {
      await setTimeout(indexCheckEveryMs, undefined, { signal: ticking.signal, ref: false }).catch(() => undefined);
      // A failure shows at the end, when the index is flushed for good.
      if (!ticking.signal.aborted) await index.writeDue(clock.now().getTime()).catch(() => undefined);
    }
  }

  async function storeRest(): Promise<void> {
    for (const pack of joinPartialPacks((await packs?.drain()) ?? [])) index.add(await storePack({ storage, seal }, pack));
  }

  return {
    packs,
    async makeDurable() {
      await storeRest();
      signal.throwIfAborted();
      ticking.abort();
      await ticks;
      await index.flush();
      signal.throwIfAborted();
    },
    async keepWhatIsStored(error) {
      ticking.abort();
      await ticks;
      const lost = signal.aborted && signal.reason instanceof HoldfastError && signal.reason.code === 'locked';
      const failed = error instanceof HoldfastError && (error.code === 'storage' || error.code === 'storage-full');
      if (failed || lost) await packs?.drain().catch(() => undefined);
      else await storeRest().catch(() => undefined);
      if (!lost) await index.flush().catch(() => undefined);
    },
  };
}
