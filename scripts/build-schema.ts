import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { configurationJsonSchema } from '../src/control/configuration/json-schema.ts';

/** Writes the JSON Schema of `holdfast.yaml`, which is committed; a unit test fails when it is not current. */
const file = fileURLToPath(new URL('../docs/holdfast.schema.json', import.meta.url));
const biome = fileURLToPath(new URL('../node_modules/.bin/biome', import.meta.url));
writeFileSync(file, JSON.stringify(configurationJsonSchema()));
execFileSync(biome, ['format', '--write', file], { stdio: 'inherit' });
