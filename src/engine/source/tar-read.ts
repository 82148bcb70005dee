/**
 * A tar stream: bytes in, entries out, the inverse of `tar-write.ts`. Reads ustar, pax, GNU's and star's forms and V7; sparse files (GNU's, and
 * its formats 0.0, 0.1 and 1.0 of pax) come with their holes filled. Names are bytes, and as they stand in the archive: absolute, with `..`, or
 * twice; whoever uses them decides. Memory: one piece of the stream, and headers up to the limits below.
 */
import { displayRaw, type RawString, rawFromBytes, textFromRaw } from '../../model/raw-bytes.ts';
import { ByteSource } from './byte-source.ts';
import { modeOfAcl } from './tar-acl.ts';
import type { TarEntry, TarFile, TarMetadata } from './tar-entry.ts';
import { archiveDamaged, blockBytes, decodeHeader, isZeroBlock, type Segment, type TarHeader } from './tar-header.ts';
import { attributesFromPax, decimal, decimalTime, decodePax, type PaxHeader, type PaxRecords } from './tar-pax.ts';
import { expandSparse, paxSegments, readGnuSegments, readSegmentsOfData } from './tar-sparse.ts';

/** What is in an archive beside what becomes an entry; told to people. */
export type TarNotice = (what: string) => void;

/** Long names and extended headers, each; Linux allows 64 KiB an attribute. */
const maxHeaderBytes = 8 * 1024 * 1024;

/**
 * The entries of an archive, in its order. The stream is read to its end also behind the archive's, and let go in any case.
 * @param notice receives what has no place in an entry: volume labels, ACLs that nobody understands, bytes behind the archive's end.
 * @throws `archive-damaged` when it is no tar archive, is damaged, or ends before its end mark; what the stream throws.
 */
export async function* readTar(stream: AsyncIterable<Uint8Array>, notice: TarNotice = () => undefined): AsyncGenerator<TarEntry> {
  const source = new ByteSource(stream);
  try {
    yield* new TarReader(source, notice).entries();
  } finally {
    await source.close();
  }
}

/** What the headers before an entry's own say of it. */
type Before = { path?: RawString; target?: RawString; pax?: PaxHeader };

class TarReader {
  private readonly source: ByteSource;
  private readonly notice: TarNotice;
  private readonly global: PaxRecords = new Map();
  /** Bytes of the current entry, padding included, that nobody has taken yet. */
  private left = 0;
  private padding = 0;

  constructor(source: ByteSource, notice: TarNotice) {
    this.source = source;
    this.notice = notice;
  }

  async *entries(): AsyncGenerator<TarEntry> {
    let before: Before = {};
    for (;;) {
      const block = this.source.takeBuffered(blockBytes) ?? (await this.source.take(blockBytes));
      if (block.length < blockBytes) throw archiveDamaged('the archive ends before its end mark: it is cut');
      if (isZeroBlock(block)) break;
      const header = decodeHeader(block);
      this.begin(header.sizeBytes);
      if (await this.readBefore(header, before)) continue;
      const entry = await this.entryOf(header, before);
      before = {};
      if (entry !== undefined) yield entry;
      await this.skipRest();
    }
    if (Object.keys(before).length > 0) throw archiveDamaged('the archive ends behind an extended header: it is damaged');
    await this.readBehind();
  }

  private begin(sizeBytes: number): void {
    this.left = sizeBytes;
    this.padding = (blockBytes - (sizeBytes % blockBytes)) % blockBytes;
  }

  /** @returns whether the header was one that says something of the next entry. */
  private async readBefore({ flag }: TarHeader, before: Before): Promise<boolean> {
    if (flag === 'L') before.path = withoutNul(await this.readHeaderBody());
    else if (flag === 'K') before.target = withoutNul(await this.readHeaderBody());
    // X is Solaris's name for it.
    else if (flag === 'x' || flag === 'X') before.pax = decodePax(await this.readHeaderBody());
    else if (flag === 'g') this.addGlobal(decodePax(await this.readHeaderBody()).records);
    else return false;
    return true;
  }

  private addGlobal(records: PaxRecords): void {
    let bytes = 0;
    for (const [key, value] of records) this.global.set(key, value);
    for (const [key, value] of this.global) bytes += key.length + value.length;
    if (bytes > maxHeaderBytes) throw archiveDamaged('the archive has too many global headers');
  }

  private async readHeaderBody(): Promise<Buffer> {
    const { left } = this;
    if (left > maxHeaderBytes) throw archiveDamaged(`an extended header of ${left} bytes is longer than any that makes sense`);
    const body = Buffer.from(await this.source.take(left));
    if (body.length < left) throw archiveDamaged('the archive ends in an extended header: it is cut');
    this.left = 0;
    await this.skipRest();
    return body;
  }

  private async entryOf(header: TarHeader, before: Before): Promise<TarEntry | undefined> {
    const records = effectiveRecords(this.global, before.pax?.records);
    const value = (key: string): Buffer | undefined => records.get(key);
    const raw = (key: string): RawString | undefined => value(key) && rawFromBytes(value(key) as Buffer);
    const path = raw('GNU.sparse.name') ?? raw('path') ?? before.path ?? header.path;
    const type = this.typeOf(header.flag, path);
    if (type === undefined) return undefined;
    const size = value('size');
    const follows = hasContent(header.flag) ? (size === undefined ? header.sizeBytes : decimal(size, 'size')) : 0;
    this.begin(follows);
    const metadata = this.metadataOf(header, records, path);
    switch (type) {
      case 'file':
        return { ...metadata, type, ...(await this.fileOf(header, records, before.pax?.segments ?? [])) };
      case 'symlink':
      case 'link':
        return { ...metadata, type, target: raw('linkpath') ?? before.target ?? header.target };
      case 'chardev':
      case 'dev':
        return {
          ...metadata,
          type,
          major: idOf(records, 'SCHILY.devmajor', header.major, path),
          minor: idOf(records, 'SCHILY.devminor', header.minor, path),
        };
      default:
        return { ...metadata, type };
    }
  }

  private metadataOf(header: TarHeader, records: ReadonlyMap<string, Buffer>, path: RawString): TarMetadata {
    const text = (key: string, otherwise: RawString): string => {
      const value = records.get(key);
      return textFromRaw(value === undefined ? otherwise : rawFromBytes(value)) ?? '';
    };
    const time = records.get('mtime');
    const mtime = time === undefined ? { sec: header.mtimeSec, nsec: 0 } : decimalTime(time);
    const attributes = attributesFromPax(records, (what) => this.notice(`${what} of ${displayRaw(path)} cannot be read, and is left out`));
    const acl = attributes.find(({ name }) => name === 'system.posix_acl_access')?.value;
    return {
      path,
      mode: acl === undefined ? header.mode : modeOfAcl(header.mode, acl),
      uid: idOf(records, 'uid', header.uid, path),
      gid: idOf(records, 'gid', header.gid, path),
      user: text('uname', header.user),
      group: text('gname', header.group),
      mtimeSec: mtime.sec,
      mtimeNsec: mtime.nsec,
      attributes,
    };
  }

  /** Undefined for what is no entry, which is told. */
  private typeOf(flag: string, path: RawString): TarEntry['type'] | undefined {
    const type = types[flag];
    if (type === 'file' && path.endsWith('/') && flag !== 'S') return 'dir';
    if (type !== undefined) return type;
    if (flag === 'V') return undefined;
    if (flag === 'M') throw archiveDamaged(`the archive begins in the middle of ${displayRaw(path)}: it is one of several volumes`);
    this.notice(`${displayRaw(path)} is of a kind (${JSON.stringify(flag)}) that nobody knows, and is left out`);
    return undefined;
  }

  private async fileOf(
    header: TarHeader,
    records: ReadonlyMap<string, Buffer>,
    repeated: readonly Segment[],
  ): Promise<Pick<TarFile, 'sizeBytes' | 'content'>> {
    const stored = this.content();
    if (header.sparse !== undefined) {
      const segments = await readGnuSegments(header.sparse, this.source);
      const { realSizeBytes } = header.sparse;
      return { sizeBytes: realSizeBytes, content: expandSparse(segments, realSizeBytes, this.left, stored) };
    }
    const sparse = paxSegments(records, repeated);
    if (sparse === undefined) return { sizeBytes: this.left, content: stored };
    const segments = sparse.segments ?? (await readSegmentsOfData((length) => this.takeContent(length)));
    return { sizeBytes: sparse.realSizeBytes, content: expandSparse(segments, sparse.realSizeBytes, this.left, stored) };
  }

  private async takeContent(length: number): Promise<Buffer> {
    if (length > this.left) throw archiveDamaged('a sparse file has a damaged map');
    const bytes = await this.source.take(length);
    if (bytes.length < length) throw archiveDamaged('the archive ends in a sparse file: it is cut');
    this.left -= length;
    return bytes;
  }

  private async *content(): AsyncGenerator<Buffer> {
    while (this.left > 0) {
      const bytes = await this.source.some(this.left);
      if (bytes.length === 0) throw archiveDamaged('the archive ends in a file: it is cut');
      this.left -= bytes.length;
      yield bytes;
    }
  }

  /** Goes to the next header. */
  private async skipRest(): Promise<void> {
    if (this.left > 0) for await (const _ of this.content());
    const { padding } = this;
    this.padding = 0;
    if (padding === 0 || this.source.takeBuffered(padding) !== undefined) return;
    if ((await this.source.take(padding)).length < padding) throw archiveDamaged('the archive ends before its end mark: it is cut');
  }

  /** Compressors have checksums at their ends. And what follows may be another archive, which nobody would otherwise miss. */
  private async readBehind(): Promise<void> {
    let zeros = true;
    for (let bytes = await this.source.some(Infinity); bytes.length > 0; bytes = await this.source.some(Infinity)) {
      zeros &&= isZeroBlock(bytes);
    }
    if (!zeros) this.notice('there is something behind the end of the archive, perhaps another archive, that is left out');
  }
}

const types: Readonly<Record<string, TarEntry['type']>> = {
  '0': 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'chardev',
  '4': 'dev',
  '5': 'dir',
  '6': 'fifo',
  // A file in one piece on the disk; a file that is sparse; a directory of an incremental archive, whose content is a list of names.
  '7': 'file',
  S: 'file',
  D: 'dir',
};

/** What has bytes behind its header whatever the size there: a directory's is what it may grow to, a link's that of the file. */
const hasContent = (flag: string): boolean => !['1', '2', '3', '4', '5', '6'].includes(flag);

/** A number of 32 bits: a user, a group, half of a device's. @throws `archive-damaged`. */
function idOf(records: ReadonlyMap<string, Buffer>, key: string, otherwise: number, path: RawString): number {
  const value = records.get(key);
  const number = value === undefined ? otherwise : decimal(value, key);
  if (number >= 0 && number < 2 ** 32) return number;
  throw archiveDamaged(`${displayRaw(path)} has ${number} as its ${key}, which is impossible`);
}

const withoutNul = (body: Buffer): RawString => rawFromBytes(body.at(-1) === 0 ? body.subarray(0, -1) : body);

/** An empty value of an entry's own header takes back what the global one says. */
function effectiveRecords(global: PaxRecords, own: PaxRecords | undefined): ReadonlyMap<string, Buffer> {
  if (own === undefined && global.size === 0) return global;
  const records: PaxRecords = new Map([...global, ...(own ?? [])]);
  for (const [key, value] of records) if (value.length === 0 && !key.includes('.xattr.')) records.delete(key);
  return records;
}
