/**
 * The part of YAML that a `holdfast.yaml` is mostly written in, read in a tenth of the time that a whole parser takes, which most of
 * the start of a command would be with a thousand volumes: mappings and lists of lines or in brackets on one line, plain words, numbers, texts
 * in quotes without escapes, comments. What it reads it reads as YAML 1.2 does (https://yaml.org/spec/1.2.2/, core schema); all that
 * it does not know for sure, mistakes included, it leaves to the parser (yaml-document.ts).
 */

/** The value of a text, keys always text; undefined: ask the parser. */
export function readPlainYaml(text: string): unknown {
  if (!knownCharacters.test(text)) return undefined;
  try {
    const lines = linesOf(text);
    if (lines.length === 0) return undefined;
    const reader: Reader = { lines, next: 0, depth: 0 };
    const value = readBlock(reader, (lines[0] as Line).indent);
    return reader.next === lines.length ? value : undefined;
  } catch (error) {
    if (error === unknownSyntax) return undefined;
    throw error;
  }
}

/** Without tabs, carriage returns, and what is a space or a break to some. */
const knownCharacters = /^[\n -~\u00a1-\u1fff\u2030-\ud7ff\u{10000}-\u{1ffff}]*$/u;

const unknownSyntax = new Error('not plain YAML');
const deepest = 30;
/** Patterns that match much text want much memory. */
const longestLine = 10_000;

type Line = { indent: number; text: string };
/** `next`: the line that is read next. */
type Reader = { lines: Line[]; next: number; depth: number };

/** Those that say something. */
function linesOf(text: string): Line[] {
  const lines: Line[] = [];
  for (const line of text.split('\n')) {
    if (line.length > longestLine) throw unknownSyntax;
    const content = line.trimStart();
    if (content !== '' && !content.startsWith('#')) lines.push({ indent: line.length - content.length, text: content });
  }
  return lines;
}

const isItem = ({ text }: Line): boolean => text === '-' || text.startsWith('- ');

/** What begins at the next line, with this indentation. A line that is deeper than it should be is read by nobody. */
function readBlock(reader: Reader, indent: number): unknown {
  if (reader.depth++ > deepest) throw unknownSyntax;
  const value = isItem(reader.lines[reader.next] as Line) ? readList(reader, indent) : readMapping(reader, indent);
  reader.depth--;
  return value;
}

const key = /([A-Za-z0-9_][A-Za-z0-9_.-]{0,100}):(?= |$)/y;

function readMapping(reader: Reader, indent: number): Record<string, unknown> {
  const mapping: Record<string, unknown> = {};
  for (let line = reader.lines[reader.next]; line?.indent === indent; line = reader.lines[reader.next]) {
    const name = match(key, line.text, 0)?.[1];
    if (name === undefined) throw unknownSyntax;
    reader.next++;
    set(mapping, name, readValue(reader, line, name.length + 1, true));
  }
  return mapping;
}

function readList(reader: Reader, indent: number): unknown[] {
  const list: unknown[] = [];
  for (let line = reader.lines[reader.next]; line?.indent === indent && isItem(line); line = reader.lines[reader.next]) {
    const rest = line.text.slice(1).trimStart();
    const offset = line.text.length - rest.length;
    const inner = { indent: indent + offset, text: rest };
    if (isItem(inner) || match(key, rest, 0) !== undefined) {
      // `- key: value`: a mapping that begins behind the dash.
      reader.lines[reader.next] = inner;
      list.push(readBlock(reader, inner.indent));
    } else {
      reader.next++;
      list.push(readValue(reader, line, 1, false));
    }
  }
  return list;
}

/** Nothing more on the line, but a comment. */
const end = /(?: +#.*| *)$/y;

/** What stands behind a key or a dash, on its line or below. */
function readValue(reader: Reader, { indent, text }: Line, from: number, ofKey: boolean): unknown {
  if (match(end, text, from) !== undefined) {
    const below = reader.lines[reader.next];
    // Lists may stand right below the key that they belong to.
    const isBelow = below !== undefined && (below.indent > indent || (ofKey && below.indent === indent && isItem(below)));
    return isBelow ? readBlock(reader, below.indent) : null;
  }
  const flow: Flow = { text, at: from, depth: reader.depth };
  skipSpaces(flow);
  const value = readFlow(flow);
  if (match(end, text, flow.at) === undefined) throw unknownSyntax;
  return value;
}

/** `at`: the character that is read next. */
type Flow = { text: string; at: number; depth: number };

const quoted = /"([^"\\]*)"|'([^']*)'/y;
/** Begins as nothing else does, and has no `, [ ] { } #`, and `:` only between others. */
const plain =
  /(?:[A-Za-z0-9_./~$+]|-(?=[A-Za-z0-9_.]))(?:[A-Za-z0-9_./~$+@=*%()<>|&!?;^-]|:(?=[A-Za-z0-9_./~$+@-])| +(?=[A-Za-z0-9_./~$+@=*%()<>|&!?;^-]))*/y;

function readFlow(flow: Flow): unknown {
  const { text, at } = flow;
  if (text[at] === '{') return readFlowMapping(flow);
  if (text[at] === '[') return readFlowList(flow);
  const inQuotes = match(quoted, text, at);
  if (inQuotes !== undefined) {
    flow.at += inQuotes[0].length;
    return inQuotes[1] ?? inQuotes[2];
  }
  const word = match(plain, text, at)?.[0];
  if (word === undefined) throw unknownSyntax;
  flow.at += word.length;
  return resolvePlain(word);
}

function readFlowMapping(flow: Flow): Record<string, unknown> {
  const mapping: Record<string, unknown> = {};
  readItems(flow, '}', () => {
    const name = match(key, flow.text, flow.at)?.[1];
    if (name === undefined) throw unknownSyntax;
    flow.at += name.length + 1;
    skipSpaces(flow);
    const isEmpty = flow.text[flow.at] === ',' || flow.text[flow.at] === '}';
    set(mapping, name, isEmpty ? null : readFlow(flow));
  });
  return mapping;
}

function readFlowList(flow: Flow): unknown[] {
  const list: unknown[] = [];
  readItems(flow, ']', () => list.push(readFlow(flow)));
  return list;
}

/** What stands between brackets, separated by commas. */
function readItems(flow: Flow, closing: string, readItem: () => void): void {
  if (flow.depth++ > deepest) throw unknownSyntax;
  flow.at++;
  skipSpaces(flow);
  while (flow.text[flow.at] !== closing) {
    readItem();
    skipSpaces(flow);
    if (flow.text[flow.at] === ',') {
      flow.at++;
      skipSpaces(flow);
    } else if (flow.text[flow.at] !== closing) throw unknownSyntax;
  }
  flow.at++;
  flow.depth--;
}

function skipSpaces(flow: Flow): void {
  while (flow.text[flow.at] === ' ') flow.at++;
}

/** Of a key that is there twice, the parser says where. */
function set(mapping: Record<string, unknown>, name: string, value: unknown): void {
  if (name === '__proto__' || Object.hasOwn(mapping, name)) throw unknownSyntax;
  mapping[name] = value;
}

const numberLike = /^[-+]?(?:\.?\d[\d.]*(?:[eE][-+]?\d+)?|\.inf|\.nan)$|^0[xo]/i;

/** The core schema; numbers only as everybody writes them. */
function resolvePlain(word: string): unknown {
  if (/^(?:~|null|Null|NULL)$/.test(word)) return null;
  if (/^(?:true|True|TRUE)$/.test(word)) return true;
  if (/^(?:false|False|FALSE)$/.test(word)) return false;
  if (/^(?:0|-?[1-9]\d{0,14})$/.test(word)) return Number(word);
  if (numberLike.test(word)) throw unknownSyntax;
  return word;
}

/** Where the pattern, which is sticky, matches right there. */
function match(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text) ?? undefined;
}
