/** Where files are in a bucket, and what they get there beside their bytes. */
import { HoldfastError } from '../model/errors.ts';
import type { S3Settings } from './s3-settings.ts';
import type { FileKind, FileRef } from './storage.ts';

/** What an object gets beside its bytes: storage class, lock, encryption. */
export type ObjectHeaders = Readonly<Record<string, string>>;

const namePattern = /^[0-9a-f]{64}$/;
const dayMs = 24 * 60 * 60 * 1000;
/** Objects of these classes must be asked for hours before they can be read. */
const archiveClasses = ['GLACIER', 'DEEP_ARCHIVE'];

/** Kinds whose files stay, beside the configuration: all but locks. */
export const longLivedKinds: readonly FileKind[] = ['keys', 'snapshots', 'index', 'data'];

/** Of a kind's files, with a slash at the end. Not for `config`. */
export const folderOf = ({ prefix }: S3Settings, kind: FileKind): string => `${prefix === '' ? '' : `${prefix}/`}${kind}/`;

/** restic's layout. @throws `internal` for names that no file of a repository has. */
export function keyOf(settings: S3Settings, { kind, name }: FileRef): string {
  if (kind === 'config') return settings.prefix === '' ? kind : `${settings.prefix}/${kind}`;
  if (!namePattern.test(name)) throw new HoldfastError('internal', `no file of a repository is named ${JSON.stringify(name)}`);
  return `${folderOf(settings, kind)}${kind === 'data' ? `${name.slice(0, 2)}/` : ''}${name}`;
}

/** The name in a key, or undefined for objects that are none of the repository's. */
export function nameIn(settings: S3Settings, kind: FileKind, key: string): string | undefined {
  const name = key.slice(key.lastIndexOf('/') + 1);
  return namePattern.test(name) && keyOf(settings, { kind, name }) === key ? name : undefined;
}

export function headersOf(settings: S3Settings, { kind, holds }: FileRef, now = new Date()): ObjectHeaders {
  const { storageClass, objectLock, serverSideEncryption } = settings;
  const mayBeArchived = kind === 'data' && holds !== 'trees';
  return {
    ...(storageClass !== undefined && (mayBeArchived || !archiveClasses.includes(storageClass)) && { 'x-amz-storage-class': storageClass }),
    ...(objectLock !== undefined &&
      kind !== 'locks' && {
        'x-amz-object-lock-mode': objectLock.mode,
        'x-amz-object-lock-retain-until-date': retainUntil(settings, now).toISOString(),
      }),
    ...(serverSideEncryption !== undefined && { 'x-amz-server-side-encryption': serverSideEncryption.algorithm }),
    ...(serverSideEncryption?.kmsKeyId !== undefined && {
      'x-amz-server-side-encryption-aws-kms-key-id': serverSideEncryption.kmsKeyId,
    }),
  };
}

/** When the lock of a file that is written or extended now runs out. */
export const retainUntil = ({ objectLock }: S3Settings, now: Date): Date => new Date(now.getTime() + (objectLock?.retainDays ?? 0) * dayMs);
