import type * as z from 'zod/mini';
import { type Mistake, quoted, suggestion } from './mistakes.ts';
import { fileSchema } from './schema.ts';
import { nameExpectation } from './schema-parts.ts';
import type { LocatedValue, Path } from './yaml-document.ts';

/** Everything that the schema finds wrong with the file, with what was expected, what was found and what is near. */
export function schemaMistakes(document: LocatedValue): Mistake[] {
  const result = fileSchema.safeParse(document.value);
  if (result.success) return [];
  return result.error.issues.flatMap((issue) => {
    const path = issue.path as Path;
    if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(document, path, key));
    return [wrongValue(document, path, issue)];
  });
}

const secretKey = /^(pass(word|phrase|wd)?|secret|token|credentials?|(secret)?access(key|token)|apikey|key)$/;

function unknownKey(document: LocatedValue, path: Path, key: string): Mistake {
  const offset = document.offsetOfKey([...path, key]);
  if (secretKey.test(key.toLowerCase().replace(/[-_]/g, ''))) {
    const where =
      path[0] === 'notifications'
        ? 'put it into the environment or a file, and name that with `passwordFrom` or `tokenFrom`'
        : 'write the password to a file that only you can read, and name that with `passwordFile`';
    const text = `a secret does not belong here (\`${key}\`), for this file is copied and committed: ${where}`;
    return { offset, text };
  }
  return { offset, text: `unknown key ${quoted(key)}${suggestion(key, knownKeys(path))}` };
}

function wrongValue(document: LocatedValue, path: Path, issue: z.core.$ZodIssue): Mistake {
  const value = path.reduce<unknown>((at, step) => (at as Record<string | number, unknown> | undefined)?.[step], document.value);
  const choices = issue.code === 'invalid_value' ? issue.values.map(String) : [];
  const expected = choices.length > 0 ? `one of ${choices.map((choice) => `\`${choice}\``).join(', ')}` : issue.message;
  const last = path.at(-1);
  if (value === undefined && last !== undefined) {
    return { offset: document.offsetOfKey(path), text: `the key \`${last}\` is missing: expected ${expected}` };
  }
  const near = typeof value === 'string' && choices.length > 0 ? suggestionOnly(value, choices) : '';
  // Nothing has no place of its own.
  const offset = value === null ? document.offsetOfKey(path) : document.offsetOfValue(path);
  return { offset, text: `${label(path)}: expected ${expected}, found ${found(path, value, issue)}${near}` };
}

/** The choices have been named already. */
const suggestionOnly = (value: string, choices: string[]): string => {
  const text = suggestion(value, choices);
  return text.startsWith(';') ? text : '';
};

/** `volumes.data.size`, `exclude[2]`. */
function label(path: Path): string {
  let out = '';
  for (const step of path) out += typeof step === 'number' ? `[${step}]` : `${out === '' ? '' : '.'}${step}`;
  return out === '' ? 'the file' : quoted(out);
}

/** Keys whose values may hold a secret, be it by mistake. */
const confidential = new Set(['url', 'urlFrom', 'tokenFrom', 'passwordFrom', 'body', 'passwordFile', 'passwordCommand', 'options']);

function found(path: Path, value: unknown, issue: z.core.$ZodIssue): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (path.some((step) => confidential.has(String(step)))) return value === '' ? 'an empty text' : 'something else';
  if (typeof value !== 'string') {
    return issue.message === nameExpectation ? `the ${typeof value} \`${value}\` (in quotes it would be text)` : `\`${value}\``;
  }
  if (value === '') return 'an empty text';
  // A number in quotes looks right until one knows that it is text.
  return issue.code === 'invalid_type' || /^-?\d+$/.test(value) ? `the text ${quoted(value)}` : quoted(value);
}

type AnySchema = { _zod: { def: { type: string; shape?: Record<string, AnySchema>; innerType?: AnySchema; valueType?: AnySchema } } };

/** The keys that the schema knows for the mapping at the path. */
function knownKeys(path: Path): string[] {
  let schema: AnySchema | undefined = unwrapped(fileSchema as unknown as AnySchema);
  for (const step of path) {
    const def: AnySchema['_zod']['def'] | undefined = schema?._zod.def;
    schema = unwrapped(def?.shape?.[step] ?? def?.valueType);
  }
  return Object.keys(schema?._zod.def.shape ?? {});
}

function unwrapped(schema: AnySchema | undefined): AnySchema | undefined {
  let inner = schema;
  while (inner?._zod.def.innerType !== undefined) inner = inner._zod.def.innerType;
  return inner;
}
