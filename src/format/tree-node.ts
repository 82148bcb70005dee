import { HoldfastError } from '../model/errors.ts';
import type { BlobId } from '../model/ids.ts';
import type { ExtendedAttribute, NodeType, TreeNode } from '../model/node.ts';
import type { RawString } from '../model/raw-bytes.ts';
import { displayRaw, rawFromBytes, rawFromText } from '../model/raw-bytes.ts';
import { jsonFromMembers, jsonFromRaw, jsonFromText, plainText } from './go-json.ts';
import { quoteName, unquoteName } from './go-quote.ts';
import type { Fields } from './json-fields.ts';
import {
  FieldError,
  isFields,
  isMissing,
  readBase64,
  readBlobId,
  readText,
  readTime,
  readUint32,
  readUint64,
  unknownFields,
} from './json-fields.ts';

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

function jsonFromUnknown(unknown: Record<string, unknown>): string {
  const { [genericAttributes]: _placed, ...others } = unknown;
  return jsonFromMembers(others);
}

/** The fields that only some nodes have, from `linktarget` to `device`. */
function jsonFromRareFields(node: TreeNode): string {
  let json = '';
  if (node.linkTarget) json += jsonFromLinkTarget(node.linkTarget);
  if (node.extendedAttributes.length > 0) json += jsonFromAttributes(node.extendedAttributes);
  if (node.unknown !== undefined && Object.hasOwn(node.unknown, genericAttributes)) {
    json += jsonFromMembers({ [genericAttributes]: node.unknown[genericAttributes] });
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

/** How the JSON object of a node begins: all that `stat` tells of the entry. */
export function jsonHeadFromNode(node: TreeNode): string {
  const { mode, inode, deviceId, size, links } = node;
  let json = `{"name":${jsonFromName(node.name)},"type":"${node.type}"`;
  if (mode) json += `,"mode":${mode}`;
  json += `,"mtime":"${node.mtime}","atime":"${node.atime}","ctime":"${node.ctime}","uid":${node.uid},"gid":${node.gid}`;
  json += jsonFromOwner(node.user, node.group);
  if (inode) json += `,"inode":${inode}`;
  if (deviceId) json += `,"device_id":${deviceId}`;
  if (size) json += `,"size":${size}`;
  if (links) json += `,"links":${links}`;
  return json;
}

/** The JSON object of a node. Its times must be what `formatTime` returned or {@link nodeFromJson} accepted. */
export function jsonFromNode(node: TreeNode): string {
  let json = jsonHeadFromNode(node);
  json += jsonFromRareFields(node);
  json += `,"content":${jsonFromContent(node.content)}`;
  if (node.subtree !== undefined) json += `,"subtree":"${node.subtree}"`;
  if (node.error) json += `,"error":${jsonFromText(node.error)}`;
  if (node.unknown !== undefined) json += jsonFromUnknown(node.unknown);
  return `${json}}`;
}

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

function readContent(value: unknown): BlobId[] | undefined {
  if (isMissing(value)) return undefined;
  if (!Array.isArray(value)) throw new FieldError('content is not a list');
  for (const id of value) readBlobId(id, 'content');
  return value as BlobId[];
}

function readAttributes(value: unknown): ExtendedAttribute[] {
  if (isMissing(value)) return [];
  if (!Array.isArray(value)) throw new FieldError('extended_attributes is not a list');
  return value.map((item: unknown) => {
    if (!isFields(item)) throw new FieldError('an extended attribute is not an object');
    const { name, value: encoded } = item;
    return { name: readText(name, "an extended attribute's name"), value: readBase64(encoded, "an extended attribute's value") };
  });
}

function readLinkTarget(fields: Fields): RawString | undefined {
  const raw = readBase64(fields.linktarget_raw, 'linktarget_raw');
  if (raw !== undefined && raw.length > 0) return rawFromBytes(raw);
  const target = readText(fields.linktarget, 'linktarget');
  return target === '' ? undefined : rawFromText(target);
}

function nodeFromFields(fields: Fields): TreeNode {
  const quoted = fields.name;
  if (typeof quoted !== 'string') throw new FieldError('its name is missing');
  const name = unquoteName(quoted);
  if (name === undefined) throw new FieldError('its name is not quoted as it should be');
  const mtime = readTime(fields.mtime, 'mtime');
  const { subtree } = fields;
  const type = readText(fields.type, 'type');
  if (!plainText.test(type)) throw new FieldError('its type is not a word');
  return {
    name,
    type: type as NodeType,
    mode: readUint32(fields.mode, 'mode'),
    mtime,
    atime: fields.atime === mtime ? mtime : readTime(fields.atime, 'atime'),
    ctime: fields.ctime === mtime ? mtime : readTime(fields.ctime, 'ctime'),
    uid: readUint32(fields.uid, 'uid'),
    gid: readUint32(fields.gid, 'gid'),
    user: readText(fields.user, 'user'),
    group: readText(fields.group, 'group'),
    inode: readUint64(fields.inode, 'inode'),
    deviceId: readUint64(fields.device_id, 'device_id'),
    size: readUint64(fields.size, 'size'),
    links: readUint64(fields.links, 'links'),
    linkTarget: readLinkTarget(fields),
    extendedAttributes: readAttributes(fields.extended_attributes),
    device: readUint64(fields.device, 'device'),
    content: readContent(fields.content),
    subtree: isMissing(subtree) ? undefined : readBlobId(subtree, 'subtree'),
    error: readText(fields.error, 'error'),
    unknown: unknownFields(fields, knownFields),
  };
}

/**
 * The node that a parsed JSON object (see `parseJson`) describes. Its name may be any bytes: who uses it as a file's
 * name calls {@link assertSafeName}. A type that this version doesn't know is kept as it is.
 * @throws `damaged` when it is not a node.
 */
export function nodeFromJson(value: unknown): TreeNode {
  if (!isFields(value)) throw new HoldfastError('damaged', 'a node of a tree is not an object');
  try {
    return nodeFromFields(value);
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    const { name } = value;
    throw new HoldfastError('damaged', `node ${JSON.stringify(typeof name === 'string' ? name.slice(0, 255) : null)}: ${error.message}`);
  }
}

/** @throws `unsafe-name` for what cannot be the name of a directory's entry: empty, `.`, `..`, or with a slash or NUL. */
export function assertSafeName(name: RawString): void {
  if (name !== '' && name !== '.' && name !== '..' && !name.includes('/') && !name.includes('\0')) return;
  throw new HoldfastError('unsafe-name', `a tree has an entry with the name "${displayRaw(name).slice(0, 255)}"`);
}
