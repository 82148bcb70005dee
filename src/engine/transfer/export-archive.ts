/** Snapshots as one tar archive: each below the name of its volume, and first of all a file that says what they are. */

import { assertSafeName } from '../../format/tree-node.ts';
import { displayRaw, type RawString, rawFromText } from '../../model/raw-bytes.ts';
import { identityFromTags, type StoredSnapshot } from '../../model/snapshot.ts';
import type { Repository } from '../../repository/repository.ts';
import { tarEntries } from '../browse/dump-tar.ts';
import type { Trees } from '../browse/trees-ahead.ts';
import type { TarEntry } from '../source/tar-entry.ts';
import { tarBytes } from '../source/tar-write.ts';
import { exportFileName } from './export-file.ts';

export type ExportedVolume = { volume: string; snapshot: StoredSnapshot };

export type ExportOptions = {
  repository: Pick<Repository, 'storage' | 'seal'>;
  trees: Trees;
  volumes: readonly ExportedVolume[];
  programVersion: string;
  now: Date;
  /** Told of an entry that a tar archive cannot hold. */
  onSkipped: (volume: string, path: string, type: string) => void;
  /** Told of a volume whose bytes are all in the archive. */
  onDone: (volume: string) => void;
};

/**
 * The archive's bytes, not compressed. What goes wrong is thrown after bytes by which every reader sees that the archive is cut.
 * @throws `unsafe-name` when a volume cannot be the name of a directory; `damaged`, `file-missing`, `storage`.
 */
export function exportArchive(options: ExportOptions): AsyncGenerator<Uint8Array> {
  for (const { volume } of options.volumes) assertSafeName(rawFromText(volume));
  return tarBytes(entries(options));
}

async function* entries(options: ExportOptions): AsyncGenerator<TarEntry> {
  yield exportFile(options);
  for (const { volume, snapshot } of options.volumes) {
    const prefix = rawFromText(volume);
    let rootIsThere = false;
    for await (const entry of tarEntries({
      repository: options.repository,
      trees: options.trees,
      directory: { tree: snapshot.tree, node: snapshot.root },
      onSkipped: (path, type) => options.onSkipped(volume, displayRaw(path), type),
      onRenamed: () => undefined,
    })) {
      // Snapshots of other tools say nothing of their root; an empty volume must be there all the same.
      if (!rootIsThere && entry.path !== '') yield plainDirectory(prefix, options.now);
      rootIsThere = true;
      yield below(prefix, entry);
    }
    if (!rootIsThere) yield plainDirectory(prefix, options.now);
    options.onDone(volume);
  }
}

/** Other names of files are from the archive's root, targets of symlinks are what they are. */
function below(prefix: RawString, entry: TarEntry): TarEntry {
  const path = (entry.path === '' ? prefix : `${prefix}/${entry.path}`) as RawString;
  return entry.type === 'link' ? { ...entry, path, target: `${prefix}/${entry.target}` as RawString } : { ...entry, path };
}

const metadata = (now: Date) => ({
  uid: 0,
  gid: 0,
  user: '',
  group: '',
  mtimeSec: Math.floor(now.getTime() / 1000),
  mtimeNsec: 0,
  attributes: [],
});

const plainDirectory = (path: RawString, now: Date): TarEntry => ({ ...metadata(now), type: 'dir', path, mode: 0o755 });

function exportFile({ volumes, programVersion, now }: ExportOptions): TarEntry {
  const bytes = Buffer.from(`${JSON.stringify(documentOf(volumes, programVersion), null, 2)}\n`);
  const content = (async function* () {
    yield bytes;
  })();
  return { ...metadata(now), type: 'file', path: exportFileName, mode: 0o600, sizeBytes: bytes.length, content };
}

/** What the file at the archive's beginning says; see docs/cli.md. */
function documentOf(volumes: readonly ExportedVolume[], programVersion: string): object {
  return {
    format: 'holdfast-export',
    version: 1,
    programVersion,
    volumes: volumes.map(({ volume, snapshot }) => ({
      volume,
      directory: volume,
      ...identityOf(snapshot),
      snapshot: snapshot.id,
      time: snapshot.time,
      ...(snapshot.summary && { files: snapshot.summary.totalFilesProcessed, bytes: snapshot.summary.totalBytesProcessed }),
    })),
  };
}

function identityOf({ tags }: StoredSnapshot): object {
  const { project, run, class: snapshotClass, consistency } = identityFromTags(tags) ?? {};
  return project === undefined ? {} : { project, run, class: snapshotClass, consistency };
}
