/** Reads the files that stand alone: configuration, keys and snapshots. */
import { decodeConfig } from '../../format/config-file.ts';
import { sha256Hex } from '../../format/kernel/sha256.ts';
import { parseKeyFile } from '../../format/key-file.ts';
import { openJson } from '../../format/sealed-json.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { SnapshotId } from '../../model/ids.ts';
import type { StoredSnapshot } from '../../model/snapshot.ts';
import type { Repository } from '../../repository/repository.ts';
import { readSnapshot } from '../../repository/snapshots.ts';
import { kindOfFailure } from './damage.ts';
import type { Findings } from './findings.ts';

/** The repository is open, so that one key and the configuration were good a moment ago; the other keys need not be. */
export async function checkKeysAndConfig(repository: Repository, findings: Findings): Promise<void> {
  await Promise.all([checkConfig(repository, findings), checkKeys(repository, findings)]);
}

async function checkConfig({ storage, seal }: Repository, findings: Findings): Promise<void> {
  try {
    decodeConfig(openJson(seal, await storage.read({ kind: 'config', name: '' })));
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    findings.add({ kind: kindOfFailure(error, 'config-damaged'), message: error.message, file: 'config' });
  }
}

async function checkKeys({ storage }: Repository, findings: Findings): Promise<void> {
  for await (const { name } of storage.list('keys')) {
    try {
      const bytes = await storage.read({ kind: 'keys', name });
      if (sha256Hex(bytes) !== name) throw new HoldfastError('damaged', `key file ${name} is not what was written`);
      parseKeyFile(bytes);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      if (error.code !== 'file-missing')
        findings.add({ kind: kindOfFailure(error, 'key-damaged'), message: error.message, file: `keys/${name}` });
    }
  }
}

const parallelReads = 16;

/** @throws `storage` when the listing fails. */
export async function listSnapshotNames({ storage }: Repository): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of storage.list('snapshots')) names.push(name);
  return names;
}

/** @returns the snapshots of these names that can be read; the others are findings. */
export async function checkSnapshots(repository: Repository, given: readonly string[], findings: Findings): Promise<StoredSnapshot[]> {
  const names = given.toSorted().reverse();
  const found: StoredSnapshot[] = [];
  const readNext = async (): Promise<void> => {
    for (let name = names.pop(); name !== undefined; name = names.pop()) {
      try {
        found.push(await readSnapshot(repository, name as SnapshotId));
      } catch (error) {
        if (!(error instanceof HoldfastError)) throw error;
        // One that vanished since the listing was forgotten by another process.
        if (error.code === 'file-missing') continue;
        findings.add({ kind: kindOfFailure(error, 'snapshot-damaged'), message: error.message, file: `snapshots/${name}`, snapshot: name });
      }
    }
  };
  await Promise.all(Array.from({ length: parallelReads }, readNext));
  return found.sort((a, b) => (a.time < b.time ? -1 : 1));
}
