/** Joins what the lanes could not fill packs with, so that an hourly backup doesn't leave a pack a lane. */
import { type PartialPack, packTargetBytes } from '../../repository/pack-writer.ts';

/** Packs of one kind each, none joined beyond the target. Sealed blobs keep their bytes: only their places change. */
export function joinPartialPacks(partials: readonly PartialPack[]): PartialPack[] {
  const joined: PartialPack[] = [];
  for (const kind of ['data', 'tree'] as const) {
    let group: PartialPack[] = [];
    let bytes = 0;
    for (const partial of partials.filter((p) => p.kind === kind && p.body.length > 0)) {
      if (group.length > 0 && bytes + partial.body.length > packTargetBytes) {
        joined.push(concatenate(kind, group));
        group = [];
        bytes = 0;
      }
      group.push(partial);
      bytes += partial.body.length;
    }
    if (group.length > 0) joined.push(concatenate(kind, group));
  }
  return joined;
}

function concatenate(kind: 'data' | 'tree', group: readonly PartialPack[]): PartialPack {
  const [only] = group;
  if (group.length === 1 && only) return only;
  return { kind, entries: Buffer.concat(group.map((p) => p.entries)), body: Buffer.concat(group.map((p) => p.body)) };
}
