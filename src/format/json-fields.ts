import { HoldfastError } from '../model/errors.ts';
import type { BlobId } from '../model/ids.ts';
import { parseBlobId } from '../model/ids.ts';
import type { Uint64 } from '../model/node.ts';
import { parseJson } from './go-json.ts';
import { tryParseTime } from './time.ts';

/**
 * Readers of the fields of a parsed JSON object, with Go's habit that a missing field and null are the type's zero
 * value. What has another type is a {@link FieldError}, which the document's decoder reports with its place.
 */
export class FieldError extends Error {}

/** A JSON object whose members are not checked yet. */
export type Fields = Record<string, unknown>;

/** Parses a document that must be a JSON object. @throws `damaged`, calling the document `what`. */
export function parseFields(bytes: Buffer, what: string): Fields {
  let value: unknown;
  try {
    value = parseJson(bytes);
  } catch (cause) {
    throw new HoldfastError('damaged', `${what} is not JSON`, { cause });
  }
  if (isFields(value)) return value;
  throw new HoldfastError('damaged', `${what} is not a JSON object`);
}

export const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);

export const isMissing = (value: unknown): value is undefined | null => value === undefined || value === null;

export function readText(value: unknown, field: string): string {
  if (typeof value === 'string') return value;
  if (isMissing(value)) return '';
  throw new FieldError(`${field} is not text`);
}

export function readTexts(value: unknown, field: string): string[] {
  if (isMissing(value)) return [];
  if (!Array.isArray(value)) throw new FieldError(`${field} is not a list`);
  return value.map((item) => readText(item, field));
}

const maxUint32 = 2 ** 32 - 1;

export function readUint32(value: unknown, field: string): number {
  if (typeof value === 'number' && value >= 0 && value <= maxUint32 && Number.isInteger(value)) return value;
  if (isMissing(value)) return 0;
  throw new FieldError(`${field} is not a number of 32 bits`);
}

/** A count that is exact as a number. */
export function readCount(value: unknown, field: string): number {
  if (typeof value === 'number' && value >= 0 && Number.isSafeInteger(value)) return value;
  if (isMissing(value)) return 0;
  throw new FieldError(`${field} is not a count`);
}

export function readUint64(value: unknown, field: string): Uint64 {
  if (typeof value === 'number' && value >= 0 && Number.isSafeInteger(value)) return value;
  if (typeof value === 'bigint' && value >= 0n && value < 2n ** 64n) return value;
  if (isMissing(value)) return 0;
  throw new FieldError(`${field} is not a number of 64 bits`);
}

/** A time in its written form; Go's zero time when it is missing. */
export function readTime(value: unknown, field: string): string {
  if (typeof value === 'string' && tryParseTime(value) !== undefined) return value;
  if (isMissing(value)) return '0001-01-01T00:00:00Z';
  throw new FieldError(`${field} is not a time`);
}

const base64 = /^[A-Za-z0-9+/]*={0,2}$/;

export function readBase64(value: unknown, field: string): Buffer | undefined {
  if (isMissing(value)) return undefined;
  if (typeof value !== 'string' || value.length % 4 !== 0 || !base64.test(value)) throw new FieldError(`${field} is not base64`);
  return Buffer.from(value, 'base64');
}

export function readBlobId(value: unknown, field: string): BlobId {
  const id = parseBlobId(value);
  if (id === undefined) throw new FieldError(`${field} is not a blob's id`);
  return id;
}

/** Deep enough for anything real; a bound, so that writing such a value back cannot exhaust the stack. */
const maxDepth = 100;

function checkUnknown(value: unknown, depth: number): void {
  if (depth > maxDepth) throw new FieldError('a field is nested too deep');
  if (typeof value === 'number' && !Number.isFinite(value)) throw new FieldError('a number is too large');
  if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) checkUnknown(part, depth + 1);
}

/** The members of an object that are not among the known ones, to be written back; undefined when there are none. */
export function unknownFields(fields: Fields, known: ReadonlySet<string>): Fields | undefined {
  let found: [string, unknown][] | undefined;
  for (const key of Object.keys(fields)) {
    if (known.has(key)) continue;
    checkUnknown(fields[key], 0);
    found ??= [];
    found.push([key, fields[key]]);
  }
  // Not by assignment: a field may be called __proto__.
  return found === undefined ? undefined : Object.fromEntries(found);
}
