/**
 * SFTP, version 3: packets to values and back.
 * Sources: draft-ietf-secsh-filexfer-02; for the extensions, OpenSSH's PROTOCOL, section 4.
 */

/** Types of packets that a client sends. */
export const requestTypes = {
  init: 1,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  fstat: 8,
  opendir: 11,
  readdir: 12,
  remove: 13,
  mkdir: 14,
  stat: 17,
  rename: 18,
  extended: 200,
} as const;

/** How files are opened. */
export const openFlags = { read: 0x01, write: 0x02, create: 0x08, exclusive: 0x20 } as const;

export const statusCodes = { ok: 0, eof: 1, noSuchFile: 2, permissionDenied: 3, failure: 4, unsupported: 8 } as const;

export const extensions = { posixRename: 'posix-rename@openssh.com', fsync: 'fsync@openssh.com', statvfs: 'statvfs@openssh.com' } as const;

/** What servers say of a file; each may leave out any of it. Modes are those of POSIX. */
export type Attributes = { sizeBytes?: number; mode?: number; modifiedSeconds?: number };

export type Entry = { name: string; attributes: Attributes };

export type Reply =
  | { kind: 'status'; id: number; code: number; message: string }
  | { kind: 'handle'; id: number; handle: Buffer }
  | { kind: 'data'; id: number; data: Buffer }
  | { kind: 'names'; id: number; entries: Entry[] }
  | { kind: 'attributes'; id: number; attributes: Attributes }
  | { kind: 'extended'; id: number; body: Buffer };

/** OpenSSH's limit, in both directions. */
const longestPacketBytes = 256 * 1024;
const protocolVersion = 3;
const attributeFlags = { size: 0x1, owner: 0x2, mode: 0x4, times: 0x8, extended: 0x80000000 } as const;

/** What a server sent is not SFTP. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** A number is 32 bits, a bigint 64; texts and bytes have their length before them. */
export type Field = number | bigint | string | Uint8Array;

/** Attributes that set a mode and nothing else. */
export const modeOnly = (mode: number): readonly Field[] => [attributeFlags.mode, mode];

export function encodeInit(): Buffer {
  return encode(requestTypes.init, [protocolVersion], 0);
}

/** @param followingBytes how much of the packet is sent behind this: content, which need not be copied for it. */
export function encodeRequest(type: number, id: number, fields: readonly Field[], followingBytes = 0): Buffer {
  return encode(type, [id, ...fields], followingBytes);
}

function encode(type: number, fields: readonly Field[], followingBytes: number): Buffer {
  const encoded = fields.map((field) => (typeof field === 'string' ? Buffer.from(field) : field));
  const sizes = encoded.map((field) => (typeof field === 'number' ? 4 : typeof field === 'bigint' ? 8 : 4 + field.length));
  const length = 1 + sizes.reduce((sum, size) => sum + size, 0);
  const packet = Buffer.allocUnsafe(4 + length);
  packet.writeUInt32BE(length + followingBytes, 0);
  packet[4] = type;
  let at = 5;
  for (const field of encoded) {
    if (typeof field === 'number') at = packet.writeUInt32BE(field >>> 0, at);
    else if (typeof field === 'bigint') at = packet.writeBigUInt64BE(field, at);
    else {
      at = packet.writeUInt32BE(field.length, at);
      packet.set(field, at);
      at += field.length;
    }
  }
  return packet;
}

/** Cuts what arrives into packets, without the lengths before them. Holds one packet at most, and the chunk that it ends in. */
export class PacketReader {
  private chunks: Buffer[] = [];
  private heldBytes = 0;

  /** @throws ProtocolError for a packet that is longer than 256 KiB, before its bytes are there. */
  *push(chunk: Buffer): Generator<Buffer> {
    this.chunks.push(chunk);
    this.heldBytes += chunk.length;
    for (;;) {
      if (this.heldBytes < 4) return;
      const length = this.join(4).readUInt32BE(0);
      if (length < 1 || length > longestPacketBytes) throw new ProtocolError(`a packet of ${length} bytes`);
      if (this.heldBytes < 4 + length) return;
      const packet = this.join(4 + length).subarray(4, 4 + length);
      this.drop(4 + length);
      yield packet;
    }
  }

  /** The first chunk, made to hold so many bytes. */
  private join(bytes: number): Buffer {
    const first = this.chunks[0] as Buffer;
    if (first.length >= bytes) return first;
    const joined = Buffer.concat(this.chunks);
    this.chunks = [joined];
    return joined;
  }

  private drop(bytes: number): void {
    this.heldBytes -= bytes;
    const rest = (this.chunks[0] as Buffer).subarray(bytes);
    if (rest.length > 0) this.chunks[0] = rest;
    else this.chunks.shift();
  }
}

/** Takes a packet's fields one after the other. @throws ProtocolError where it ends too early. */
class Fields {
  private readonly bytes: Buffer;
  private at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get leftBytes(): number {
    return this.bytes.length - this.at;
  }

  take(length: number): Buffer {
    if (length > this.leftBytes) throw new ProtocolError('a packet ends too early');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  byte(): number {
    return this.take(1)[0] as number;
  }

  number(): number {
    return this.take(4).readUInt32BE(0);
  }

  /** What doubles cannot hold comes out too large rather than small. */
  long(): number {
    return Number(this.take(8).readBigUInt64BE(0));
  }

  string(): Buffer {
    return this.take(this.number());
  }

  attributes(): Attributes {
    const flags = this.number();
    const attributes: Attributes = {};
    if (flags & attributeFlags.size) attributes.sizeBytes = this.long();
    if (flags & attributeFlags.owner) this.take(8);
    if (flags & attributeFlags.mode) attributes.mode = this.number();
    if (flags & attributeFlags.times) {
      this.number();
      attributes.modifiedSeconds = this.number();
    }
    if (flags & attributeFlags.extended) for (let count = this.number(); count > 0; count--) void [this.string(), this.string()];
    return attributes;
  }

  entry(): Entry {
    const name = this.string().toString();
    // What `ls -l` would show.
    this.string();
    return { name, attributes: this.attributes() };
  }
}

/** The answer to {@link encodeInit}: extensions that the server has, and their versions. @throws ProtocolError. */
export function decodeVersion(packet: Buffer): Map<string, string> {
  const fields = new Fields(packet);
  if (fields.byte() !== 2) throw new ProtocolError('the server does not begin with its version');
  const version = fields.number();
  if (version < protocolVersion) throw new ProtocolError(`the server speaks version ${version} of SFTP, which is too old`);
  const offered = new Map<string, string>();
  while (fields.leftBytes > 0) offered.set(fields.string().toString(), fields.string().toString());
  return offered;
}

/** The answer to a request; bytes in it are views of the packet. @throws ProtocolError for what is none. */
export function decodeReply(packet: Buffer): Reply {
  const fields = new Fields(packet);
  const type = fields.byte();
  const id = fields.number();
  switch (type) {
    case 101: {
      const code = fields.number();
      return { kind: 'status', id, code, message: fields.leftBytes > 0 ? fields.string().toString() : '' };
    }
    case 102:
      return { kind: 'handle', id, handle: fields.string() };
    case 103:
      return { kind: 'data', id, data: fields.string() };
    case 104: {
      const entries: Entry[] = [];
      for (let count = fields.number(); count > 0; count--) entries.push(fields.entry());
      return { kind: 'names', id, entries };
    }
    case 105:
      return { kind: 'attributes', id, attributes: fields.attributes() };
    case 201:
      return { kind: 'extended', id, body: fields.take(fields.leftBytes) };
    default:
      throw new ProtocolError(`a packet of type ${type}`);
  }
}

/** What a file system has left, as statvfs@openssh.com answers. */
export type FileSystemRoom = { availableBytes: number; inodesLeft: boolean; readOnly: boolean };

/** @throws ProtocolError when it is too short. */
export function decodeStatvfs(body: Buffer): FileSystemRoom {
  const fields = new Fields(body);
  const [, fragmentBytes = 0, , , available = 0, files = 0, , filesAvailable = 0, , flags = 0] = Array.from({ length: 11 }, () =>
    fields.long(),
  );
  // Some file systems make inodes as they need them, and count none.
  return { availableBytes: available * fragmentBytes, inodesLeft: files === 0 || filesAvailable > 0, readOnly: flags % 2 === 1 };
}
