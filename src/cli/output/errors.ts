import { type ErrorDocument, errorDocument, exitCodes, HoldfastError } from '../../model/errors.ts';
import { redactUrls } from '../../model/redact-url.ts';
import { displayText, type Style } from './text.ts';

/** How errors are shown: what happened and where, why, and what to do next. */

/** Messages of the causes, outermost first, as far as they say something new. */
function causes(error: unknown): string[] {
  const messages: string[] = [];
  let cause = error instanceof Error ? error.cause : undefined;
  // A chain of causes is short; the bound is against one that leads back to itself.
  for (let depth = 0; cause !== undefined && depth < 8; depth += 1) {
    const message = redactUrls(cause instanceof Error ? cause.message : String(cause));
    if (message !== '' && !messages.includes(message)) messages.push(message);
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return messages;
}

/** What a user typed may be the URL of a repository wherever it stands: an error that quotes it must not tell the password. */
function documentOf(error: unknown): ErrorDocument {
  const { message, remedy, volume, file, code } = errorDocument(error);
  return {
    code,
    message: redactUrls(message),
    remedy: redactUrls(remedy),
    ...(volume !== undefined && { volume: redactUrls(volume) }),
    ...(file !== undefined && { file: redactUrls(file) }),
  };
}

/** Where it happened, unless the message says it: `volume redis-data, file dump.rdb`. */
function place({ message, volume, file }: ErrorDocument): string {
  const parts: string[] = [];
  if (volume !== undefined && !message.includes(volume)) parts.push(`volume ${volume}`);
  if (file !== undefined && !message.includes(file)) parts.push(`file ${file}`);
  return parts.map(displayText).join(', ');
}

/** The lines of an error. The stack of a defect is shown only when asked for. */
export function errorLines(error: unknown, style: Style, verbose: boolean): string[] {
  const document = documentOf(error);
  const at = place(document);
  const [first, ...rest] = document.message.split('\n') as [string, ...string[]];
  const lines = [`${style.bad('error:')} ${at === '' ? '' : `${at}: `}${displayText(first)}`];
  if (document.code !== 'internal' || verbose) lines.push(...rest.map((line) => `  ${displayText(line)}`));
  lines.push(...causes(error).map((message) => style.dim(`  because: ${displayText(message)}`)));
  lines.push(`→ ${displayText(document.remedy)}`);
  return lines;
}

/** The same for programs. `because` lists the messages of the causes, `exitCode` is what the process ends with if nothing follows. */
export function errorEvent(error: unknown): object {
  const because = causes(error);
  const exitCode = error instanceof HoldfastError ? error.exitCode : exitCodes.failed;
  return { event: 'error', error: { ...documentOf(error), ...(because.length === 0 ? {} : { because }) }, exitCode };
}
