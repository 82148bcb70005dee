/** A storage in a bucket of S3, or of a server that speaks like it, in restic's layout. */
import { HoldfastError } from '../model/errors.ts';
import { isSource } from './rest-transport.ts';
import { checkedLength, readBody } from './s3-body.ts';
import { createBucket, listObjects, removeUploads } from './s3-bucket.ts';
import { connectS3 } from './s3-connection.ts';
import { headersOf, keyOf, nameIn } from './s3-place.ts';
import { parseS3Address } from './s3-settings.ts';
import { createUpload } from './s3-upload.ts';
import type { FileRef, FileSource, Storage, StorageAddress } from './storage.ts';

/**
 * Opens a bucket, or a prefix in one; options are explained in docs/configuration.md. It connects with the first operation, and tries
 * nothing again but steps of uploads in parts.
 * @throws `usage` for a URL or options that cannot be used.
 */
export function createS3Storage(address: Pick<StorageAddress, 'url' | 'options'>): Storage {
  const settings = parseS3Address(address);
  const { prefix, location } = settings;
  const connection = connectS3(settings);
  const { perform } = connection;
  const upload = createUpload(connection);

  /** The object of a file, and its name for messages. */
  function objectOf(file: FileRef) {
    const Key = keyOf(settings, file);
    return { key: Key, subject: `${location}/${Key.slice(prefix === '' ? 0 : prefix.length + 1)}` };
  }

  async function sizeOf(file: FileRef): Promise<number> {
    const { key, subject } = objectOf(file);
    return perform('read', subject, (ask) => ask({ method: 'HEAD', key }, async (response) => checkedLength(response, subject)));
  }

  async function write(file: FileRef, content: readonly Uint8Array[] | FileSource): Promise<void> {
    const { key, subject } = objectOf(file);
    // A pack that is spooled was hashed already: its name is its hash.
    const hash = isSource(content) ? { hash: file.name } : {};
    try {
      await upload({ key, subject, headers: headersOf(settings, file), ...hash }, content);
    } catch (error) {
      // Nothing but the bucket can be missing.
      if (!isMissing(error)) throw error;
      throw new HoldfastError('no-repository', `cannot write ${subject}: there is no such bucket`, { file: subject });
    }
  }

  return {
    location,
    create: () => createBucket(connection, settings),

    async *list(kind) {
      for await (const page of listObjects(connection, settings, kind)) {
        for (const { key, sizeBytes } of page) {
          const name = nameIn(settings, kind, key);
          if (name !== undefined) yield { name, sizeBytes };
        }
      }
    },

    async read(file, range) {
      const { key, subject } = objectOf(file);
      // There is no way to ask for no bytes.
      if (range?.length === 0) return sizeOf(file).then(() => Buffer.alloc(0));
      const headers = range && { range: `bytes=${range.offset}-${range.offset + range.length - 1}` };
      return perform('read', subject, (ask) =>
        ask({ method: 'GET', key, ...(headers && { headers }) }, (response) => readBody(response, subject, file.kind, range)),
      );
    },

    sizeOf,

    write,
    writeFrom: write,

    async remove(file) {
      const { key, subject } = objectOf(file);
      try {
        await perform('remove', subject, (ask) => ask({ method: 'DELETE', key }));
      } catch (error) {
        if (!isMissing(error)) throw error;
      }
    },

    removeLeftovers: (olderThanMs) => removeUploads(connection, settings, olderThanMs),
    close: () => connection.close(),
  };
}

const isMissing = (error: unknown): boolean => error instanceof HoldfastError && error.code === 'file-missing';
