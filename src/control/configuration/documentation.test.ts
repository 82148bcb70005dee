import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { configurationJsonSchema } from './json-schema.ts';
import { parseConfiguration } from './parse.ts';

const page = await readFile(new URL('../../../docs/configuration.md', import.meta.url), 'utf8');

test('every example of the page loads', () => {
  const examples = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1] as string);
  assert.ok(examples.length >= 2);
  for (const example of examples) parseConfiguration(example, '/srv/app/holdfast.yaml');
});

test('every key of the schema is on the page', () => {
  const keys = new Set<string>();
  const visit = (schema: unknown): void => {
    if (typeof schema !== 'object' || schema === null) return;
    const { properties } = schema as { properties?: Record<string, unknown> };
    for (const key of Object.keys(properties ?? {})) keys.add(key);
    for (const part of Object.values(schema)) visit(part);
  };
  visit(configurationJsonSchema());
  assert.ok(keys.size > 30);
  for (const key of keys) assert.match(page, new RegExp(`\\b${key}\\b`), key);
});
