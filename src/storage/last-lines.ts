/** What a child process said last, for errors that quote it. */
import type { Readable } from 'node:stream';

const keptLines = 5;
const longestLine = 500;

/**
 * Reads a log on, so that its writer never blocks, and remembers its end.
 * @param secrets what is replaced by asterisks, beside what looks like a credential.
 * @returns the last lines, as one.
 */
export function rememberLines(log: Readable, secrets: readonly string[]): () => string {
  const lines: string[] = [];
  let unfinished = '';
  log.setEncoding('utf8').on('data', (text: string) => {
    const parts = (unfinished + text).split('\n');
    unfinished = (parts.pop() ?? '').slice(0, longestLine);
    lines.push(...parts.slice(-keptLines));
    lines.splice(0, Math.max(0, lines.length - keptLines));
  });
  return () =>
    [...lines, unfinished]
      .map((line) => withoutSecrets(printable(line), secrets).slice(0, longestLine))
      .filter((line) => line !== '')
      .join('; ');
}

/** Without what a terminal would take as a command, and without the time that rclone puts first. */
const printable = (line: string): string =>
  line
    .replaceAll(/\p{C}+/gu, ' ')
    .replace(/^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d /, '')
    .trim();

/** Replaces given secrets, users of URLs, and values of what is named like a credential. */
function withoutSecrets(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) clean = clean.replaceAll(secret, '***');
  return clean
    .replaceAll(/(:\/\/)[^/\s@]+@/g, '$1***@')
    .replaceAll(/((?:pass|password|secret|token|key|credentials?|authorization)["']?\s*[=:]\s*["']?)[^\s"',;&]+/gi, '$1***');
}
