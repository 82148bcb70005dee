import { HoldfastError } from '../model/errors.ts';
import type { SnapshotId } from '../model/ids.ts';
import { parseSnapshotId } from '../model/ids.ts';
import type { TreeNode } from '../model/node.ts';
import type { Snapshot, SnapshotSummary, StoredSnapshot } from '../model/snapshot.ts';
import { jsonFromMembers, jsonFromText, jsonFromTexts } from './go-json.ts';
import type { Fields } from './json-fields.ts';
import {
  FieldError,
  isFields,
  isMissing,
  parseFields,
  readBlobId,
  readCount,
  readText,
  readTexts,
  readTime,
  readUint32,
  unknownFields,
} from './json-fields.ts';
import { assertSafeName, jsonFromNode, nodeFromJson } from './tree-node.ts';

/** Snapshot files, as restic 0.19 writes them (source: restic, internal/data/snapshot.go), with
 * `holdfast_root`, `holdfast_problems`, `holdfast_downtime_ms`, `holdfast_kinds` and `holdfast_incompressible` in addition. */

const counts = [
  ['files_new', 'filesNew'],
  ['files_changed', 'filesChanged'],
  ['files_unmodified', 'filesUnmodified'],
  ['dirs_new', 'dirsNew'],
  ['dirs_changed', 'dirsChanged'],
  ['dirs_unmodified', 'dirsUnmodified'],
  ['data_blobs', 'dataBlobs'],
  ['tree_blobs', 'treeBlobs'],
  ['data_added', 'dataAdded'],
  ['data_added_packed', 'dataAddedPacked'],
  ['total_files_processed', 'totalFilesProcessed'],
  ['total_bytes_processed', 'totalBytesProcessed'],
] as const;

const knownCounts: ReadonlySet<string> = new Set(['backup_start', 'backup_end', ...counts.map(([field]) => field)]);

const knownFields: ReadonlySet<string> = new Set([
  'time',
  'parent',
  'tree',
  'paths',
  'hostname',
  'username',
  'uid',
  'gid',
  'excludes',
  'tags',
  'original',
  'program_version',
  'summary',
  'holdfast_root',
  'holdfast_problems',
  'holdfast_downtime_ms',
  'holdfast_kinds',
  'holdfast_incompressible',
]);

/** What `Snapshot.unknown` holds under this key are the summary's unknown fields: the summary itself is known. */
const unknownInSummary = 'summary';

function jsonFromSummary(summary: SnapshotSummary, unknown: unknown): string {
  let json = `{"backup_start":"${summary.backupStart}","backup_end":"${summary.backupEnd}"`;
  for (const [field, property] of counts) json += `,"${field}":${summary[property]}`;
  return `${json}${isFields(unknown) ? jsonFromMembers(unknown) : ''}}`;
}

const textMember = (key: string, text: string): string => (text === '' ? '' : `,"${key}":${jsonFromText(text)}`);
const textsMember = (key: string, texts: readonly string[]): string => (texts.length === 0 ? '' : `,"${key}":${jsonFromTexts(texts)}`);
const idMember = (key: string, id: string | undefined): string => (id === undefined ? '' : `,"${key}":"${id}"`);

/** The JSON of a snapshot file (plaintext: not compressed, not sealed). */
export function encodeSnapshot(snapshot: Snapshot): Buffer {
  const { [unknownInSummary]: summaryUnknown, ...unknown } = snapshot.unknown ?? {};
  let json = `{"time":"${snapshot.time}"${idMember('parent', snapshot.parent)},"tree":"${snapshot.tree}"`;
  json += `,"paths":${jsonFromTexts(snapshot.paths)}${textMember('hostname', snapshot.hostname)}${textMember('username', snapshot.username)}`;
  if (snapshot.uid) json += `,"uid":${snapshot.uid}`;
  if (snapshot.gid) json += `,"gid":${snapshot.gid}`;
  json += textsMember('excludes', snapshot.excludes) + textsMember('tags', snapshot.tags) + idMember('original', snapshot.original);
  json += textMember('program_version', snapshot.programVersion);
  if (snapshot.summary !== undefined) json += `,"summary":${jsonFromSummary(snapshot.summary, summaryUnknown)}`;
  if (snapshot.root !== undefined) json += `,"holdfast_root":${jsonFromNode(snapshot.root)}`;
  if (snapshot.problems) json += `,"holdfast_problems":${snapshot.problems}`;
  if (snapshot.downtimeMs !== undefined) json += `,"holdfast_downtime_ms":${snapshot.downtimeMs}`;
  json += textMember('holdfast_kinds', snapshot.kinds ?? '');
  if (snapshot.incompressibleBytes !== undefined) json += `,"holdfast_incompressible":${snapshot.incompressibleBytes}`;
  return Buffer.from(`${json}${jsonFromMembers(unknown)}}`, 'latin1');
}

function readSnapshotId(value: unknown, field: string): SnapshotId | undefined {
  if (isMissing(value)) return undefined;
  const id = parseSnapshotId(value);
  if (id === undefined) throw new FieldError(`${field} is not a snapshot's id`);
  return id;
}

function readSummary(value: unknown): { summary: SnapshotSummary | undefined; unknown: Fields | undefined } {
  if (isMissing(value)) return { summary: undefined, unknown: undefined };
  if (!isFields(value)) throw new FieldError('summary is not an object');
  const numbers = Object.fromEntries(counts.map(([field, property]) => [property, readCount(value[field], field)]));
  const summary = {
    backupStart: readTime(value.backup_start, 'backup_start'),
    backupEnd: readTime(value.backup_end, 'backup_end'),
    ...numbers,
  } as SnapshotSummary;
  return { summary, unknown: unknownFields(value, knownCounts) };
}

/** The root has no directory, so that its name may be empty or `.`, but it may never lead anywhere. */
function readRoot(value: unknown): TreeNode | undefined {
  if (isMissing(value)) return undefined;
  const root = nodeFromJson(value);
  if (root.name !== '' && root.name !== '.') assertSafeName(root.name);
  return root;
}

function snapshotFromFields(fields: Fields, id: SnapshotId): StoredSnapshot {
  const { summary, unknown: summaryUnknown } = readSummary(fields.summary);
  const unknown = unknownFields(fields, knownFields);
  const problems = readCount(fields.holdfast_problems, 'holdfast_problems');
  const kinds = readText(fields.holdfast_kinds, 'holdfast_kinds');
  return {
    id,
    time: readTime(fields.time, 'time'),
    parent: readSnapshotId(fields.parent, 'parent'),
    tree: readBlobId(fields.tree, 'tree'),
    paths: readTexts(fields.paths, 'paths'),
    hostname: readText(fields.hostname, 'hostname'),
    username: readText(fields.username, 'username'),
    uid: readUint32(fields.uid, 'uid'),
    gid: readUint32(fields.gid, 'gid'),
    excludes: readTexts(fields.excludes, 'excludes'),
    tags: readTexts(fields.tags, 'tags'),
    original: readSnapshotId(fields.original, 'original'),
    programVersion: readText(fields.program_version, 'program_version'),
    summary,
    root: readRoot(fields.holdfast_root),
    ...(problems === 0 ? {} : { problems }),
    ...(isMissing(fields.holdfast_downtime_ms) ? {} : { downtimeMs: readCount(fields.holdfast_downtime_ms, 'holdfast_downtime_ms') }),
    ...(kinds === '' ? {} : { kinds }),
    ...(isMissing(fields.holdfast_incompressible)
      ? {}
      : { incompressibleBytes: readCount(fields.holdfast_incompressible, 'holdfast_incompressible') }),
    unknown: summaryUnknown === undefined ? unknown : { ...unknown, [unknownInSummary]: summaryUnknown },
  };
}

/**
 * The snapshot that any version of restic, rustic or Holdfast wrote. Unknown fields are kept, those of the summary as
 * `unknown.summary`.
 * @throws `damaged` when it is not a snapshot; `unsafe-name` when the root's name would lead elsewhere.
 */
export function decodeSnapshot(bytes: Buffer, id: SnapshotId): StoredSnapshot {
  const fields = parseFields(bytes, `snapshot ${id}`);
  try {
    return snapshotFromFields(fields, id);
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    throw new HoldfastError('damaged', `snapshot ${id}: ${error.message}`, { file: `snapshots/${id}` });
  }
}
