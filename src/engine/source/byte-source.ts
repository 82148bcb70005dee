/** A stream of bytes, taken in pieces of the taker's size. */

const nothing = Buffer.alloc(0);

export class ByteSource {
  private readonly stream: AsyncIterator<Uint8Array>;
  private buffered: Buffer = nothing;
  private ended = false;

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.stream = stream[Symbol.asyncIterator]();
  }

  /** So many bytes, or all that are left when there are fewer. Valid until the next call. */
  async take(length: number): Promise<Buffer> {
    return this.takeBuffered(length) ?? this.gather(length);
  }

  /** As `take`, when that needs no waiting: most of an archive's headers come in one piece. */
  takeBuffered(length: number): Buffer | undefined {
    if (this.buffered.length < length) return undefined;
    const bytes = this.buffered.subarray(0, length);
    this.buffered = this.buffered.subarray(length);
    return bytes;
  }

  /** What comes next, at most so many bytes; empty at the end. Nothing is copied. */
  async some(maxLength: number): Promise<Buffer> {
    while (this.buffered.length === 0 && !this.ended) await this.fill();
    const bytes = this.buffered.subarray(0, maxLength);
    this.buffered = this.buffered.subarray(bytes.length);
    return bytes;
  }

  /** Lets the stream go, read to its end or not. */
  async close(): Promise<void> {
    this.buffered = nothing;
    if (!this.ended) await this.stream.return?.();
    this.ended = true;
  }

  private async gather(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let missing = length;
    while (missing > 0) {
      const part = await this.some(missing);
      if (part.length === 0) break;
      // What was given before may be overwritten by the stream's next piece.
      parts.push(Buffer.from(part));
      missing -= part.length;
    }
    return Buffer.concat(parts);
  }

  private async fill(): Promise<void> {
    const { done, value } = await this.stream.next();
    if (done) this.ended = true;
    else this.buffered = Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }
}
