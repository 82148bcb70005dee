/** Repairs a small repository, and kills itself after so many changes: `repair-child.ts REPOSITORY KEEP-FOLDER CHANGES PACK...`. */
import { repairIndex } from '../../src/engine/maintenance/repair-index.ts';
import { repairPacks } from '../../src/engine/maintenance/repair-packs.ts';
import { repairSnapshots } from '../../src/engine/maintenance/repair-snapshots.ts';
import type { PackId } from '../../src/model/ids.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { SmallRepository } from './small-repository.ts';

const [folder, keepFolder, changes, ...packs] = process.argv.slice(2) as [string, string, string, ...PackId[]];
let left = Number(changes);

async function counted(change: Promise<void>): Promise<void> {
  await change;
  if (--left === 0) process.kill(process.pid, 'SIGKILL');
}

const opened = await new SmallRepository(folder).open();
const { begin: _, ...storage } = opened.storage;
const deadly: Storage = {
  ...storage,
  write: (file, parts) => counted(storage.write(file, parts)),
  remove: (file) => counted(storage.remove(file)),
};
const common = {
  repository: { ...opened, storage: deadly },
  dryRun: false,
  onStep: () => undefined,
  onProgress: () => undefined,
  signal: new AbortController().signal,
};
await repairIndex({ ...common, readAllPacks: true });
await repairPacks({ ...common, packs, keepFolder, onLoss: () => undefined });
await repairSnapshots({ ...common, snapshots: [], forget: true, keepFolder });
