import { HoldfastError } from '../model/errors.ts';
import type { BlobId } from '../model/ids.ts';
import { parseBlobId } from '../model/ids.ts';
import type { ExtendedAttribute, NodeType, TreeNode, Uint64 } from '../model/node.ts';
import type { RawString } from '../model/raw-bytes.ts';
import { displayRaw, rawFromBytes, rawFromText } from '../model/raw-bytes.ts';
import { jsonFromRaw, jsonFromText, jsonFromValue, plainText } from './go-json.ts';
import { quoteName, unquoteName } from './go-quote.ts';
import { tryParseTime } from './time.ts';

/**
 * A node of a tree, as restic 0.19 writes it in JSON (source: restic, internal/data/node.go). Writers return
 * the UTF-8 bytes of the JSON as a raw string.
 */

function jsonFromName(name: RawString): string {
  if (plainText.test(name)) return `"${name}"`;
  // What Go's quoting leaves to JSON's is ASCII: a byte string can be escaped as it is.
  return `"${quoteName(name)
    .replace(/["\\]/g, '\\$&')
    .replace(/[<>&]/g, (character) => `\\u00${character.charCodeAt(0).toString(16)}`)}"`;
}

function jsonFromLinkTarget(target: RawString): string {
  const { json, valid } = jsonFromRaw(target);
  const text = `,"linktarget":${json}`;
  return valid ? text : `${text},"linktarget_raw":"${Buffer.from(target, 'latin1').toString('base64')}"`;
}

function jsonFromAttributes(attributes: readonly ExtendedAttribute[]): string {
  const items = attributes.map(({ name, value }) => {
    const encoded = value === undefined ? 'null' : `"${value.toString('base64')}"`;
    return `{"name":${jsonFromText(name)},"value":${encoded}}`;
  });
  return `,"extended_attributes":[${items.join(',')}]`;
}

/** The one unknown field whose place lies between known ones. */
const genericAttributes = 'generic_attributes';

const member = (key: string, value: unknown): string => `,${jsonFromText(key)}:${jsonFromValue(value)}`;

function jsonFromUnknown(unknown: Record<string, unknown>): string {
  let json = '';
  for (const [key, value] of Object.entries(unknown)) if (key !== genericAttributes) json += member(key, value);
  return json;
}

/** The fields that only some nodes have, from `linktarget` to `device`. */
function jsonFromRareFields(node: TreeNode): string {
  let json = '';
  if (node.linkTarget) json += jsonFromLinkTarget(node.linkTarget);
  if (node.extendedAttributes.length > 0) json += jsonFromAttributes(node.extendedAttributes);
  if (node.unknown !== undefined && Object.hasOwn(node.unknown, genericAttributes)) {
    json += member(genericAttributes, node.unknown[genericAttributes]);
  }
  if (node.device) json += `,"device":${node.device}`;
  return json;
}

function jsonFromContent(content: readonly BlobId[] | undefined): string {
  if (content === undefined) return 'null';
  return content.length === 0 ? '[]' : `["${content.join('","')}"]`;
}

/** Owners repeat from node to node. */
let lastUser = '';
let lastGroup = '';
let lastOwner = '';

function jsonFromOwner(user: string, group: string): string {
  if (user !== lastUser || group !== lastGroup) {
    lastOwner = (user ? `,"user":${jsonFromText(user)}` : '') + (group ? `,"group":${jsonFromText(group)}` : '');
    lastUser = user;
    lastGroup = group;
  }
  return lastOwner;
}

/** The JSON object of a node. Its times must be what `formatTime` returned or {@link nodeFromJson} accepted. */
export function jsonFromNode(node: TreeNode): string {
  const { mode, inode, deviceId, size, links } = node;
  let json = `{"name":${jsonFromName(node.name)},"type":"${node.type}"`;
  if (mode) json += `,"mode":${mode}`;
  json += `,"mtime":"${node.mtime}","atime":"${node.atime}","ctime":"${node.ctime}","uid":${node.uid},"gid":${node.gid}`;
  json += jsonFromOwner(node.user, node.group);
  if (inode) json += `,"inode":${inode}`;
  if (deviceId) json += `,"device_id":${deviceId}`;
  if (size) json += `,"size":${size}`;
  if (links) json += `,"links":${links}`;
  json += jsonFromRareFields(node);
  json += `,"content":${jsonFromContent(node.content)}`;
  if (node.subtree !== undefined) json += `,"subtree":"${node.subtree}"`;
  if (node.error) json += `,"error":${jsonFromText(node.error)}`;
  if (node.unknown !== undefined) json += jsonFromUnknown(node.unknown);
  return `${json}}`;
}

/** A value that JSON holds where a field of a node should be. */
class FieldError extends Error {}

const knownFields = new Set([
  'name',
  'type',
  'mode',
  'mtime',
  'atime',
  'ctime',
  'uid',
  'gid',
  'user',
  'group',
  'inode',
  'device_id',
  'size',
  'links',
  'linktarget',
  'linktarget_raw',
  'extended_attributes',
  'device',
  'content',
  'subtree',
  'error',
]);

type Fields = Record<string, unknown>;

const missing = (value: unknown): value is undefined | null => value === undefined || value === null;

function text(value: unknown, field: string): string {
  if (typeof value === 'string') return value;
  if (missing(value)) return '';
  throw new FieldError(`${field} is not text`);
}

const maxUint32 = 2 ** 32 - 1;

function uint32(value: unknown, field: string): number {
  if (typeof value === 'number' && value >= 0 && value <= maxUint32 && Number.isInteger(value)) return value;
  if (missing(value)) return 0;
  throw new FieldError(`${field} is not a number of 32 bits`);
}

function uint64(value: unknown, field: string): Uint64 {
  if (typeof value === 'number' && value >= 0 && Number.isSafeInteger(value)) return value;
  if (typeof value === 'bigint' && value >= 0n && value < 2n ** 64n) return value;
  if (missing(value)) return 0;
  throw new FieldError(`${field} is not a number of 64 bits`);
}

function time(value: unknown, field: string): string {
  if (typeof value === 'string' && tryParseTime(value) !== undefined) return value;
  // What Go reads where a time is missing.
  if (missing(value)) return '0001-01-01T00:00:00Z';
  throw new FieldError(`${field} is not a time`);
}

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function bytes(value: unknown, field: string): Buffer | undefined {
  if (missing(value)) return undefined;
  if (typeof value !== 'string' || !base64.test(value)) throw new FieldError(`${field} is not base64`);
  return Buffer.from(value, 'base64');
}

function blobId(value: unknown, field: string): BlobId {
  const id = parseBlobId(value);
  if (id === undefined) throw new FieldError(`${field} is not a blob's id`);
  return id;
}

function content(value: unknown): BlobId[] | undefined {
  if (missing(value)) return undefined;
  if (!Array.isArray(value)) throw new FieldError('content is not a list');
  for (const id of value) blobId(id, 'content');
  return value as BlobId[];
}

function extendedAttributes(value: unknown): ExtendedAttribute[] {
  if (missing(value)) return [];
  if (!Array.isArray(value)) throw new FieldError('extended_attributes is not a list');
  return value.map((item: unknown) => {
    if (typeof item !== 'object' || item === null) throw new FieldError('an extended attribute is not an object');
    const { name, value: encoded } = item as Fields;
    return { name: text(name, "an extended attribute's name"), value: bytes(encoded, "an extended attribute's value") };
  });
}

function linkTarget(fields: Fields): RawString | undefined {
  const raw = bytes(fields.linktarget_raw, 'linktarget_raw');
  if (raw !== undefined && raw.length > 0) return rawFromBytes(raw);
  const target = text(fields.linktarget, 'linktarget');
  return target === '' ? undefined : rawFromText(target);
}

/** Deep enough for anything real; a bound, so that writing such a value back cannot exhaust the stack. */
const maxDepth = 100;

function checkUnknown(value: unknown, depth: number): void {
  if (depth > maxDepth) throw new FieldError('a field is nested too deep');
  if (typeof value === 'number' && !Number.isFinite(value)) throw new FieldError('a number is too large');
  if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) checkUnknown(part, depth + 1);
}

/**
 * The members of a JSON object that are not among the known ones; undefined when there are none.
 * @throws Error when they are nested too deep to be written back.
 */
export function unknownFields(fields: Record<string, unknown>, known: ReadonlySet<string>): Record<string, unknown> | undefined {
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

function nodeFromFields(fields: Fields): TreeNode {
  const quoted = fields.name;
  if (typeof quoted !== 'string') throw new FieldError('its name is missing');
  const name = unquoteName(quoted);
  if (name === undefined) throw new FieldError('its name is not quoted as it should be');
  const mtime = time(fields.mtime, 'mtime');
  const { subtree } = fields;
  const type = text(fields.type, 'type');
  if (!plainText.test(type)) throw new FieldError('its type is not a word');
  return {
    name,
    type: type as NodeType,
    mode: uint32(fields.mode, 'mode'),
    mtime,
    atime: fields.atime === mtime ? mtime : time(fields.atime, 'atime'),
    ctime: fields.ctime === mtime ? mtime : time(fields.ctime, 'ctime'),
    uid: uint32(fields.uid, 'uid'),
    gid: uint32(fields.gid, 'gid'),
    user: text(fields.user, 'user'),
    group: text(fields.group, 'group'),
    inode: uint64(fields.inode, 'inode'),
    deviceId: uint64(fields.device_id, 'device_id'),
    size: uint64(fields.size, 'size'),
    links: uint64(fields.links, 'links'),
    linkTarget: linkTarget(fields),
    extendedAttributes: extendedAttributes(fields.extended_attributes),
    device: uint64(fields.device, 'device'),
    content: content(fields.content),
    subtree: missing(subtree) ? undefined : blobId(subtree, 'subtree'),
    error: text(fields.error, 'error'),
    unknown: unknownFields(fields, knownFields),
  };
}

/**
 * The node that a parsed JSON object (see `parseJson`) describes. Its name may be any bytes: who uses it as a file's
 * name calls {@link assertSafeName}. A type that this version doesn't know is kept as it is.
 * @throws `damaged` when it is not a node.
 */
export function nodeFromJson(value: unknown): TreeNode {
  if (typeof value !== 'object' || value === null) throw new HoldfastError('damaged', 'a node of a tree is not an object');
  try {
    return nodeFromFields(value as Fields);
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    const { name } = value as Fields;
    throw new HoldfastError('damaged', `node ${JSON.stringify(typeof name === 'string' ? name.slice(0, 255) : null)}: ${error.message}`);
  }
}

/** @throws `unsafe-name` for what cannot be the name of a directory's entry: empty, `.`, `..`, or with a slash or NUL. */
export function assertSafeName(name: RawString): void {
  if (name !== '' && name !== '.' && name !== '..' && !name.includes('/') && !name.includes('\0')) return;
  throw new HoldfastError('unsafe-name', `a tree has an entry with the name "${displayRaw(name).slice(0, 255)}"`);
}
