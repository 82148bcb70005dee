import { HoldfastError } from '../model/errors.ts';
import type { Operation } from './contract/operations.ts';

/** What a request holds, checked against the contract. */

/** More than any request of the contract needs: the longest names a thousand volumes. */
const mostBodyBytes = 256 * 1024;

type Issue = { path: PropertyKey[]; message: string; code?: string; keys?: string[] };
type Schema = { safeParse(value: unknown): { success: boolean; data?: unknown; error?: { issues: Issue[] } } };

/** @throws `request-invalid` naming what is wrong. */
export function parsed(schema: Schema, value: unknown, what: string): unknown {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const [issue] = error?.issues ?? [];
  const where = issue?.path.map(String).join('.');
  const said = issue?.code === 'unrecognized_keys' ? `there is no ${issue.keys?.join(', ')}` : (issue?.message ?? 'it is wrong');
  throw new HoldfastError('request-invalid', `${what}${where ? ` ${where}` : ''}: ${said}`.slice(0, 500));
}

/** Each once. @throws `request-invalid`. */
export function queryOf(queries: Record<string, string[]>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(queries).map(([name, values]) => {
      if (values.length !== 1)
        throw new HoldfastError('request-invalid', `the parameter ${JSON.stringify(name.slice(0, 100))} stands there several times`);
      return [name, values[0] as string];
    }),
  );
}

/** @throws `request-invalid`, `request-too-large`. */
export async function bodyOf(request: Request, schema: NonNullable<Operation['body']>): Promise<unknown> {
  if (!/^application\/json *(?:;|$)/i.test(request.headers.get('Content-Type') ?? ''))
    throw new HoldfastError('request-invalid', 'the body is not application/json', { remedy: 'send JSON, with its Content-Type' });
  const bytes = await readBody(request);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new HoldfastError('request-invalid', 'the body is not JSON in UTF-8');
  }
  return parsed(schema as Schema, value, 'the body');
}

async function readBody(request: Request): Promise<Uint8Array> {
  const tooLarge = () => new HoldfastError('request-too-large', `the body is larger than ${mostBodyBytes} bytes`);
  if (Number(request.headers.get('Content-Length') ?? 0) > mostBodyBytes) throw tooLarge();
  const parts: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const part of request.body ?? []) {
      size += part.length;
      if (size > mostBodyBytes) throw tooLarge();
      parts.push(part);
    }
  } catch (cause) {
    // Who leaves in the middle is no defect of ours.
    throw cause instanceof HoldfastError ? cause : new HoldfastError('request-invalid', 'the body broke off', { cause });
  }
  return Buffer.concat(parts);
}

/** A header of printable characters. @throws `request-invalid`. */
export function shortHeader(request: Request, name: string): string | undefined {
  const value = request.headers.get(name);
  if (value === null || value === '') return undefined;
  if (!/^[!-~]{1,200}$/.test(value)) throw new HoldfastError('request-invalid', `the header ${name} is not 1 to 200 printable characters`);
  return value;
}
