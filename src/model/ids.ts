/** Names of things in a repository. All are lower-case hexadecimal SHA-256, 64 characters, and minted only by parsing or hashing. */

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** SHA-256 of a blob's plaintext. */
export type BlobId = Branded<'BlobId'>;
/** SHA-256 of a pack file's content; its file name. */
export type PackId = Branded<'PackId'>;
/** SHA-256 of a snapshot file's content; its file name. */
export type SnapshotId = Branded<'SnapshotId'>;

const pattern = /^[0-9a-f]{64}$/;

/** Returns the text as an id, or undefined when it is not one. */
function parse<Id extends string>(text: unknown): Id | undefined {
  return typeof text === 'string' && pattern.test(text) ? (text as Id) : undefined;
}

export const parseBlobId = (text: unknown): BlobId | undefined => parse<BlobId>(text);
export const parsePackId = (text: unknown): PackId | undefined => parse<PackId>(text);
export const parseSnapshotId = (text: unknown): SnapshotId | undefined => parse<SnapshotId>(text);

/** How many characters of an id people are shown, as restic does. */
const shortIdLength = 8;
export const shortId = (id: string): string => id.slice(0, shortIdLength);
