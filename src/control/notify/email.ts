import { readFile } from 'node:fs/promises';
import { HoldfastError } from '../../model/errors.ts';
import type { Destination } from '../configuration/configuration.ts';
import { cut, type Message, oneLine } from './message.ts';
import type { Secrets } from './secrets.ts';

type Email = Extract<Destination, { kind: 'email' }>;

/** Sends a message by SMTP, and returns what the server said. @throws `notification-failed`. */
export async function sendEmail(
  destination: Email,
  message: Message,
  { secrets, timeoutMs, signal }: { secrets: Secrets; timeoutMs: number; signal: AbortSignal },
): Promise<string> {
  const { createTransport } = await import('nodemailer');
  const { host, port, security, login, ca } = destination;
  const transport = createTransport({
    host,
    port,
    secure: security === 'tls',
    requireTLS: security === 'starttls',
    ignoreTLS: security === 'none',
    ...(ca === undefined ? {} : { tls: { ca: await readAuthorities(ca) } }),
    ...(login === undefined ? {} : { auth: { user: login.user, pass: await secrets.read(login.password) } }),
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    dnsTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const ended = Promise.withResolvers<never>();
  const end = (why: string) => {
    ended.reject(new Error(why));
    transport.close();
  };
  const timer = setTimeout(() => end(`it took longer than ${timeoutMs / 1_000} s`), timeoutMs);
  const onAbort = () => end('interrupted');
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  try {
    const sent = await Promise.race([transport.sendMail(mailOf(destination, message)), ended.promise]);
    const rejected = sent.rejected.map((address) => oneLine(String(address)));
    const answer = cut(oneLine(secrets.redact(sent.response)), 200);
    return rejected.length === 0 ? answer : `${answer}; but not for ${rejected.join(', ')}`;
  } catch (cause) {
    // Before it is cut: half a secret is not known for one.
    const why = cut(oneLine(secrets.redact(cause instanceof Error ? cause.message : String(cause))), 300);
    throw new HoldfastError('notification-failed', `${host}:${port} did not take the e-mail: ${why}`, { cause });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    transport.close();
  }
}

/** A title is one line by its making; that a header is one is made sure of here all the same. */
function mailOf({ from, to }: Email, { id, title, text, condition }: Message) {
  const domain =
    from
      .split('@')
      .at(-1)
      ?.replace(/[^a-zA-Z0-9.-]/g, '') || 'localhost';
  return {
    from: oneLine(from),
    to: to.map(oneLine),
    subject: oneLine(title),
    text: `${text}\n`,
    // RFC 3834: no answers of absent people.
    headers: { 'Auto-Submitted': 'auto-generated' },
    messageId: `<${id.replace(/[^a-zA-Z0-9.-]/g, '-')}@${domain}>`,
    priority: condition === 'broken' ? ('high' as const) : ('normal' as const),
  };
}

async function readAuthorities(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new HoldfastError('notification-failed', `${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
}
