/**
 * The JSON of an index file, built in a buffer: as strings, the blobs of a large repository would take ten times as much while they are
 * put together.
 */
import type { BlobKind } from '../../format/pack-header.ts';

/** More than a blob takes, whatever its numbers. */
const maxBlobText = 256;
const firstBytes = 64 * 1024;

export class IndexText {
  /** Blobs so far. */
  blobs = 0;
  private buffer = Buffer.allocUnsafe(0);
  private used = 0;
  private packs = 0;
  private first = true;

  /** Begins a pack: its blobs follow, then `endPack`. */
  beginPack(id: string): void {
    this.write(`${this.packs++ === 0 ? '{"packs":[' : ','}{"id":"${id}","blobs":[`);
    this.first = true;
  }

  blob(kind: BlobKind, id: string, offset: number, length: number, plainLength: number): void {
    const uncompressed = plainLength > 0 ? `,"uncompressed_length":${plainLength}` : '';
    this.write(`${this.first ? '' : ','}{"id":"${id}","type":"${kind}","offset":${offset},"length":${length}${uncompressed}}`);
    this.first = false;
    this.blobs++;
  }

  endPack(): void {
    this.write(']}');
  }

  /** The index file so far, undefined when it names no pack; a new one begins. Valid until the next pack begins. */
  take(): Buffer | undefined {
    if (this.packs === 0) return undefined;
    this.write(']}');
    const text = this.buffer.subarray(0, this.used);
    this.used = 0;
    this.packs = 0;
    this.blobs = 0;
    return text;
  }

  private write(text: string): void {
    if (this.used + maxBlobText > this.buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(firstBytes, this.buffer.length + (this.buffer.length >>> 1)));
      this.buffer.copy(larger, 0, 0, this.used);
      this.buffer = larger;
    }
    this.used += this.buffer.write(text, this.used, 'latin1');
  }
}
