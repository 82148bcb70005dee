import { type Random, randomFrom } from '../random.ts';

/**
 * Records as programs store them: words, numbers, times and hexadecimal ids, in the manner of a PostgreSQL heap, a
 * SQLite table and a Redis append-only file. Nobody parses them; they must only compress and change as such data does.
 */

/** Fills a page of its whole length; `number` is the page's place in its file. */
export type FillPage = (page: Uint8Array, number: number, random: Random) => void;

const encoder = new TextEncoder();
const hexDigits = encoder.encode('0123456789abcdef');
const vocabulary = makeVocabulary();

function makeVocabulary(): Uint8Array[] {
  const random = randomFrom('vocabulary');
  const syllables = [
    'an',
    'be',
    'cor',
    'da',
    'el',
    'fi',
    'gor',
    'ha',
    'in',
    'jo',
    'ka',
    'lo',
    'mer',
    'no',
    'or',
    'pe',
    'qui',
    'ra',
    'sta',
    'tu',
  ];
  const word = (): string => Array.from({ length: 1 + random.below(4) }, () => random.pick(syllables)).join('');
  return Array.from({ length: 6000 }, () => encoder.encode(`${word()} `));
}

/** Writes forward through a page; what doesn't fit is cut off at the page's end. */
class PageWriter {
  readonly page: Uint8Array;
  readonly random: Random;
  at = 0;

  constructor(page: Uint8Array, random: Random) {
    this.page = page;
    this.random = random;
  }

  get full(): boolean {
    return this.at >= this.page.length;
  }

  bytes(source: Uint8Array): void {
    // Byte by byte: the pieces are short, and a typed array's set() costs more than it saves there.
    for (let index = 0; index < source.length; index++) this.page[this.at++] = source[index] as number;
  }

  integer(value: number, lengthBytes: number): void {
    for (let index = 0, rest = value; index < lengthBytes; index++, rest = Math.floor(rest / 256)) this.page[this.at++] = rest & 255;
  }

  decimal(value: number, digits: number): void {
    for (let index = digits - 1, rest = value; index >= 0; index--, rest = Math.floor(rest / 10))
      this.page[this.at + index] = 48 + (rest % 10);
    this.at += digits;
  }

  hex(digits: number): void {
    for (let index = 0; index < digits; index += 8) {
      let bits = this.random.uint32();
      for (let digit = index; digit < Math.min(index + 8, digits); digit++, bits >>>= 4)
        this.page[this.at++] = hexDigits[bits & 15] as number;
    }
  }

  uuid(): void {
    for (const digits of [8, 4, 4, 4, 12]) {
      if (digits !== 8) this.page[this.at++] = 45;
      this.hex(digits);
    }
  }

  /** Some words are common and most are rare, as in any language. */
  words(count: number): void {
    for (let index = 0; index < count; index++) {
      const rank = Math.floor(vocabulary.length * this.random.fraction() ** 3);
      this.bytes(vocabulary[rank] as Uint8Array);
    }
  }
}

const text = (string: string): Uint8Array => encoder.encode(string);
const statuses = ['active', 'archived', 'pending', 'failed', 'done'].map(text);

/** A heap page: header, line pointers growing up, rows of (header, id, uuid, time, status, amount, text). */
export const fillHeapPage: FillPage = (page, number, random) => {
  page.fill(0);
  const writer = new PageWriter(page, random);
  writer.integer(number * 8192 + random.below(8192), 8);
  writer.integer(random.below(65_536), 2);
  writer.at = 24;
  const rowBytes = 210;
  const rows = Math.floor((page.length - 24) / (rowBytes + 4));
  for (let row = 0; row < rows; row++) writer.integer((page.length - (row + 1) * rowBytes) * 2 + 1, 4);
  for (let row = rows - 1; row >= 0; row--) {
    writer.at = page.length - (row + 1) * rowBytes;
    writer.integer(700_000 + Math.floor(number / 3), 8);
    writer.integer(number, 6);
    writer.integer(row + 1, 2);
    writer.integer(0x0902_0008, 8);
    writer.integer(number * rows + row, 8);
    writer.uuid();
    writer.integer(700_000_000_000_000 + number * 7_000_000 + random.below(7_000_000), 8);
    writer.bytes(random.pick(statuses));
    writer.decimal(random.below(1_000_000), 6);
    writer.words(12);
  }
};

const cell = {
  open: text('{"id":'),
  user: text(',"user":"'),
  event: text('","event":"'),
  at: text('","at":"2025-'),
  value: text('Z","value":'),
  trace: text(',"trace":"'),
  close: text('"}'),
};

/** A leaf page of a table whose rows are JSON documents. */
export const fillTablePage: FillPage = (page, number, random) => {
  const writer = new PageWriter(page, random);
  writer.integer(0x0d, 3);
  writer.integer(Math.floor(page.length / 180), 2);
  writer.integer(0, 3);
  for (let row = 0; !writer.full; row++) {
    writer.integer(0x8136, 2);
    writer.integer(number * 24 + row, 4);
    writer.bytes(cell.open);
    writer.decimal(number * 24 + row, 9);
    writer.bytes(cell.user);
    writer.uuid();
    writer.bytes(cell.event);
    writer.words(5);
    writer.bytes(cell.at);
    writer.decimal(1 + random.below(12), 2);
    writer.decimal(random.below(1_000_000_000), 10);
    writer.bytes(cell.value);
    writer.decimal(random.below(100_000), 5);
    writer.bytes(cell.trace);
    writer.hex(16);
    writer.bytes(cell.close);
  }
};

const command = {
  set: text('*4\r\n$4\r\nHSET\r\n$44\r\nsession:'),
  field: text('\r\n$5\r\nstate\r\n$'),
  push: text('*3\r\n$5\r\nLPUSH\r\n$11\r\nqueue:tasks\r\n$'),
  expire: text('*3\r\n$9\r\nPEXPIREAT\r\n$44\r\nsession:'),
  end: text('\r\n'),
};

/** A stretch of an append-only log of commands. */
export const fillLogPage: FillPage = (page, number, random) => {
  const writer = new PageWriter(page, random);
  while (!writer.full) {
    const kind = random.below(4);
    writer.bytes(kind === 0 ? command.push : kind === 1 ? command.expire : command.set);
    writer.uuid();
    writer.bytes(command.field);
    writer.decimal(number, 7);
    writer.bytes(command.end);
    if (kind !== 1) writer.words(8);
    if (kind === 2) writer.hex(32);
    writer.bytes(command.end);
  }
};
