import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openApiDocument } from '../src/api/contract/openapi.ts';

/** Writes the OpenAPI document of the API, which is committed; a test fails when it is not current. */
const file = fileURLToPath(new URL('../docs/openapi.json', import.meta.url));
const biome = fileURLToPath(new URL('../node_modules/.bin/biome', import.meta.url));
writeFileSync(file, JSON.stringify(openApiDocument()));
execFileSync(biome, ['format', '--write', file], { stdio: 'inherit' });
