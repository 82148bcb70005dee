/** Listings that begin before they are asked for: over a network each is a round trip that something else can hide. */
import type { FileKind, Storage, StoredFile } from '../storage/storage.ts';

export type ListingsAhead = {
  /** The storage; whoever lists one of the kinds first gets the listing that began. */
  storage: Storage;
  /**
   * Lists the kinds, one after the other in their order, so that what files of the first name is in the listings of the others when writers
   * write it before. Listings that began before and that nobody asked for are forgotten.
   */
  begin(): void;
  /** Resolves when no listing is under way any more. Never throws. */
  settled(): Promise<void>;
};

export function listAhead(storage: Storage, kinds: readonly FileKind[]): ListingsAhead {
  const ahead = new Map<FileKind, Promise<StoredFile[]>>();
  let last: Promise<unknown> = Promise.resolve();

  async function listAfter(before: Promise<unknown>, kind: FileKind): Promise<StoredFile[]> {
    await before;
    return Array.fromAsync(storage.list(kind));
  }

  return {
    storage: {
      ...storage,
      async *list(kind) {
        const begun = ahead.get(kind);
        ahead.delete(kind);
        if (begun === undefined) yield* storage.list(kind);
        else yield* await begun;
      },
    },
    begin() {
      for (const kind of kinds) {
        const listing = listAfter(last, kind);
        // Whoever asks for it is told.
        listing.catch(() => undefined);
        ahead.set(kind, listing);
        last = listing.catch(() => undefined);
      }
    },
    async settled() {
      await last;
    },
  };
}
