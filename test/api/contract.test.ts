/** The OpenAPI document is valid and current. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { openApiDocument } from '../../src/api/contract/openapi.ts';
import { operationIds } from '../../src/api/contract/operations.ts';

const file = join(import.meta.dirname, '..', '..', 'docs', 'openapi.json');

test('the OpenAPI document is valid', async () => {
  const { valid, errors } = await new Validator().validate(structuredClone(openApiDocument()));
  assert.equal(valid, true, JSON.stringify(errors));
});

test('docs/openapi.json is current', () => {
  assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), openApiDocument(), 'run: node scripts/build-openapi.ts');
});

test('every reference of the document leads somewhere, and every operation is in it', () => {
  const document = openApiDocument() as {
    components: { schemas: Record<string, unknown> };
    paths: Record<string, Record<string, { operationId: string }>>;
  };
  for (const [, name] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g))
    assert.ok(document.components.schemas[name as string], name);
  const described = Object.values(document.paths).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId));
  assert.deepEqual(described.toSorted(), operationIds.toSorted());
});
