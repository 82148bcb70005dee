import * as z from 'zod/mini';
import { basePath, type Operation, operations } from './operations.ts';
import { problem, statusOf } from './problem.ts';
import * as resources from './resources.ts';
import { roles } from './roles.ts';

type JsonSchema = Record<string, unknown>;

/** Schemas that stand by their name in the document. */
const shown = {
  Volume: resources.volume,
  Repository: resources.repository,
  Status: resources.status,
  Objective: resources.objective,
  JobSpec: resources.jobSpec,
  JobRequest: resources.jobRequest,
  Job: resources.job,
  LogLine: resources.logLine,
  Snapshot: resources.snapshot,
  RestorePoint: resources.restorePoint,
  Entry: resources.entry,
  Difference: resources.difference,
  Usage: resources.usage,
  Drill: resources.drill,
  Project: resources.project,
  Alert: resources.alert,
  AuditEntry: resources.auditEntry,
  Problem: problem,
};

const problemReference = { $ref: '#/components/schemas/Problem' };

/** What every request can meet. */
const everywhere = ['request-invalid', 'not-authenticated', 'not-permitted', 'too-many-requests', 'internal'] as const;

/** The OpenAPI 3.1 document of the API. */
export function openApiDocument(): JsonSchema {
  const named = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(shown)) named.add(schema, { id });
  for (const [id, { body, answer }] of Object.entries(operations as Record<string, Operation>)) {
    if (answer.kind === 'json' && !named.has(answer.schema)) named.add(answer.schema, { id: `${id}Answer` });
    if (body !== undefined && !named.has(body)) named.add(body, { id: `${id}Body` });
  }
  const { schemas } = z.toJSONSchema(named, { io: 'input', uri: (id) => `#/components/schemas/${id}` });
  const reference = (schema: z.ZodMiniType) => ({ $ref: `#/components/schemas/${named.get(schema)?.id}` });
  const paths: Record<string, JsonSchema> = {};
  for (const [id, operation] of Object.entries(operations as Record<string, Operation>)) {
    paths[operation.path] = { ...paths[operation.path], [operation.method]: operationObject(id, operation, reference) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Holdfast',
      version: '1',
      description: `The API of \`holdfast up\`. Roles of tokens: ${roles.join(', ')}.`,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: basePath }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      schemas: Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, tidy(schema as JsonSchema)])),
    },
  };
}

function operationObject(operationId: string, operation: Operation, reference: (schema: z.ZodMiniType) => JsonSchema): JsonSchema {
  const { summary, allowed, parameters, query, body, idempotent, answer, errors, method } = operation;
  const headers = idempotent
    ? [{ name: 'Idempotency-Key', in: 'header', schema: { type: 'string', minLength: 1, maxLength: 200, pattern: '^[!-~]+$' } }]
    : [];
  if (answer.kind === 'events')
    headers.push({ name: 'Last-Event-ID', in: 'header', schema: { type: 'string', minLength: 1, maxLength: 200, pattern: '^[!-~]+$' } });
  const withBody = body === undefined ? [] : (['request-too-large'] as const);
  const statuses = [...new Set([...everywhere, ...withBody, ...errors].map(statusOf))].sort();
  const problems = statuses.map((status) => [
    status,
    { description: 'What went wrong', content: { 'application/problem+json': { schema: problemReference } } },
  ]);
  return {
    operationId,
    summary,
    description: `Allowed to: ${allowed.join(', ')}.`,
    parameters: [...parametersIn('path', parameters), ...parametersIn('query', query), ...headers],
    ...(body === undefined ? {} : { requestBody: { required: true, content: { 'application/json': { schema: reference(body) } } } }),
    responses: {
      [answer.kind === 'json' ? answer.status : 200]: { description: 'Done', content: contentOf(answer, reference) },
      ...(method === 'get' && answer.kind === 'json' ? { 304: { description: 'As it was when it had the ETag of If-None-Match' } } : {}),
      ...Object.fromEntries(problems),
    },
  };
}

function contentOf(answer: Operation['answer'], reference: (schema: z.ZodMiniType) => JsonSchema): JsonSchema {
  if (answer.kind === 'json') return { 'application/json': { schema: reference(answer.schema) } };
  if (answer.kind === 'events') return { 'text/event-stream': { schema: { type: 'string' } } };
  return { 'application/octet-stream': {}, 'application/x-tar': {}, 'application/zip': {} };
}

function parametersIn(place: 'path' | 'query', schema: z.ZodMiniObject): JsonSchema[] {
  const { properties = {}, required = [] } = tidy(z.toJSONSchema(schema, { io: 'input' }) as JsonSchema) as {
    properties?: Record<string, JsonSchema>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, value]) => ({ name, in: place, required: required.includes(name), schema: value }));
}

/** Without what says nothing: the identity of parts, and the bounds of what JavaScript can count. */
function tidy(value: JsonSchema): JsonSchema {
  const cleaned = JSON.stringify(value, (key, member) => {
    if (key === '$schema' || key === '$id' || key === 'readOnly') return undefined;
    if ((key === 'minimum' || key === 'maximum') && Math.abs(member) === Number.MAX_SAFE_INTEGER) return undefined;
    return member;
  });
  return JSON.parse(cleaned) as JsonSchema;
}
