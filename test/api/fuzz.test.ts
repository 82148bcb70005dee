/** Requests made from the contract, right and wrong: never a defect, never a hang, and answers are as the contract says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openApiDocument } from '../../src/api/contract/openapi.ts';
import { basePath, type Operation, operations } from '../../src/api/contract/operations.ts';
import { problem } from '../../src/api/contract/problem.ts';
import { anyText, fc } from '../properties.ts';
import { post, reads, snapshotId, startTestServer } from './api-server.ts';

type Schema = {
  type?: string;
  $ref?: string;
  oneOf?: Schema[];
  enum?: string[];
  const?: string;
  pattern?: string;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
};
type Parameter = { name: string; in: string; required?: boolean; schema: Schema };
type Described = {
  operationId: keyof typeof operations;
  parameters: Parameter[];
  requestBody?: { content: { 'application/json': { schema: Schema } } };
};

const document = openApiDocument() as { paths: Record<string, Record<string, Described>>; components: { schemas: Record<string, Schema> } };

/** Values that the schema allows; names often those of things that are there. */
function valid(schema: Schema): fc.Arbitrary<unknown> {
  const { $ref, oneOf, type, properties = {}, required = [], items, pattern, minimum = 0, maximum = 1e6, minItems = 0 } = schema;
  if ($ref !== undefined) return valid(document.components.schemas[$ref.split('/').at(-1) as string] as Schema);
  if (oneOf !== undefined) return fc.oneof(...oneOf.map(valid));
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (type === 'integer' || type === 'number') return fc.integer({ min: minimum, max: maximum });
  if (type === 'array') return fc.array(valid(items as Schema), { minLength: minItems, maxLength: 5 });
  if (type === 'object')
    return fc.record(Object.fromEntries(Object.entries(properties).map(([name, value]) => [name, valid(value)])), {
      requiredKeys: required,
    });
  const known = ['local', 'offsite', 'database', 'uploads', snapshotId('a'), snapshotId('b').slice(0, 8), '0', '5.x', '99'];
  const fitting = known.filter((one) => pattern === undefined || new RegExp(pattern).test(one));
  const made =
    pattern === undefined
      ? anyText({ maxLength: 40 })
      : fc.stringMatching(new RegExp(pattern.replace('\\u0000', '\\0')), { maxLength: 60 });
  return fitting.length === 0 ? made : fc.oneof(fc.constantFrom(...fitting), made);
}

/** What nobody should send. */
const hostile = fc.oneof(
  fc.constantFrom(
    '',
    '..',
    '%',
    '%ff',
    '\u0000',
    "' OR 1=1 --",
    '-1',
    '1e999',
    'NaN',
    '__proto__',
    '\ud800',
    '💥',
    'a'.repeat(3_000),
    '[]',
    '{}',
  ),
  anyText({ maxLength: 100 }),
);

const text = (value: unknown): string => encodeURIComponent(String(value).toWellFormed());

/** Not `..`, by which the server is asked for another path, perhaps one whose answer has no end. */
const segment = (value: unknown): string => (/^\.{0,2}$/.test(text(value)) ? 'x' : text(value));

function requestOf(path: string, method: string, { parameters, requestBody }: Described) {
  const value = (parameter: Parameter) => fc.oneof({ weight: 6, arbitrary: valid(parameter.schema) }, { weight: 1, arbitrary: hostile });
  const inPath = parameters.filter((parameter) => parameter.in === 'path');
  const inQuery = parameters.filter((parameter) => parameter.in === 'query');
  const body =
    requestBody === undefined
      ? fc.constant(undefined)
      : fc.oneof({ weight: 5, arbitrary: valid(requestBody.content['application/json'].schema) }, { weight: 2, arbitrary: fc.jsonValue() });
  return fc
    .tuple(
      fc.record(Object.fromEntries(inPath.map((parameter) => [parameter.name, value(parameter)]))),
      fc.record(Object.fromEntries(inQuery.map((parameter) => [parameter.name, value(parameter)])), { requiredKeys: [] }),
      body,
      fc.option(fc.stringMatching(/^[!-~]{1,20}$/), { nil: undefined }),
    )
    .map(([values, query, content, key]) => {
      const where = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => segment((values as Record<string, unknown>)[name]));
      const search = Object.entries(query).map(([name, one]) => `${text(name)}=${text(one)}`);
      const headers: Record<string, string> = key === undefined ? {} : { 'Idempotency-Key': key, 'Last-Event-ID': key };
      const asking = method === 'post' ? post(content === undefined ? '' : JSON.stringify(content), headers) : { headers };
      return { path: `${basePath}${where}?${search.join('&')}`, asking };
    });
}

test('whatever is asked, the answer is one of the contract', { timeout: 120_000 }, async (t) => {
  const listing = `${JSON.stringify({ path: 'a', type: 'file', mode: 33188, mtime: '', uid: 0, gid: 0, user: '', group: '', size: 1, change: '+' })}\n`;
  const { ask, plane, problems } = await startTestServer(t, { read: reads(listing, listing), execute: async () => 0 });
  plane.start({ kind: 'usage' }, 'test');
  const numRuns = Number(process.env.HOLDFAST_API_FUZZ ?? 25);
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, described] of Object.entries(methods)) {
      const operation: Operation = operations[described.operationId];
      // Without an end.
      if (described.operationId === 'followEvents') continue;
      await fc.assert(
        fc.asyncProperty(requestOf(path, method, described), async ({ path: where, asking }) => {
          const answer = await ask(where, asking);
          const { status, body } = answer;
          assert.ok(status < 500, `${method} ${where} ${answer.text}`);
          if (status >= 400) assert.deepEqual(problem.parse(body), body);
          else if (operation.answer.kind === 'json') assert.ok(operation.answer.schema.safeParse(body).success, `${where} ${answer.text}`);
        }),
        { numRuns, endOnFailure: true },
      );
    }
  }
  assert.deepEqual(problems, []);
});
