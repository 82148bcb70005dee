import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../peers.ts';

const root = join(import.meta.dirname, '..', '..');
const configuration = '.dependency-cruiser.cjs';
const folders = ['src', 'test', 'bench', 'scripts'];

type Violation = { rule: { name: string }; from: string; to: string };

/** For every rule, one import or more that it must refuse: `[importing file, what it imports]`. */
const offences: Record<string, [from: string, to: string][]> = {
  'model-imports-upward': [['src/model/a.ts', 'src/format/tree.ts']],
  'format-imports-upward': [
    ['src/format/a.ts', 'src/storage/storage.ts'],
    ['src/format/kernel/a.ts', 'src/cli/main.ts'],
  ],
  'storage-imports-upward': [['src/storage/a.ts', 'src/repository/repository.ts']],
  'repository-imports-upward': [['src/repository/a.ts', 'src/engine/backup/backup.ts']],
  'engine-imports-upward': [['src/engine/restore/a.ts', 'src/platform/platform.ts']],
  'platform-imports-upward': [['src/platform/a.ts', 'src/control/jobs.ts']],
  'control-imports-upward': [['src/control/a.ts', 'src/api/contract.ts']],
  'api-imports-upward': [['src/api/a.ts', 'src/cli/main.ts']],
  'no-cycles': [['src/model/chicken.ts', 'src/model/egg.ts']],
  resolves: [['src/model/a.ts', 'src/model/nowhere.ts']],
  'library-is-the-end': [['src/control/a.ts', 'src/index.ts']],
  'library-without-cli': [['src/index.ts', 'src/cli/main.ts']],
  'product-without-tests': [
    ['src/engine/a.ts', 'test/peers.ts'],
    ['src/format/a.ts', 'src/format/tree.test.ts'],
  ],
  'storages-by-contract': [
    ['src/repository/a.ts', 'src/storage/local.ts'],
    ['src/control/a.ts', 'src/storage/with-retry.ts'],
  ],
  'platforms-by-contract': [['src/control/a.ts', 'src/platform/docker/docker.ts']],
  'platforms-apart': [['src/platform/directory/a.ts', 'src/platform/docker/docker.ts']],
  'web-by-api-contract': [['web/a.ts', 'src/model/ids.ts']],
  'configuration-vendors': [
    ['src/engine/a.ts', 'zod'],
    ['src/control/a.ts', 'yaml'],
  ],
  'ffi-vendor': [
    ['src/engine/a.ts', 'koffi'],
    ['src/format/a.ts', 'koffi'],
  ],
  'cipher-vendor': [['src/repository/a.ts', 'sodium-native']],
  'http-vendor': [
    ['src/engine/a.ts', 'undici'],
    ['src/storage/a.ts', 'undici'],
  ],
  's3-vendor': [
    ['src/storage/a.ts', '@aws-sdk/client-s3'],
    ['src/cli/a.ts', '@aws-sdk/client-s3'],
  ],
  'docker-vendor': [
    ['src/control/a.ts', 'dockerode'],
    ['src/platform/directory/a.ts', 'docker-modem'],
  ],
  'age-vendor': [
    ['src/cli/a.ts', 'age-encryption'],
    ['src/engine/a.ts', 'age-encryption'],
  ],
  'metrics-vendor': [
    ['src/control/a.ts', 'prom-client'],
    ['src/api/a.ts', 'prom-client'],
  ],
  'properties-vendor': [['src/format/a.ts', 'fast-check']],
  'log-vendor': [
    ['src/cli/a.ts', 'pino'],
    ['src/control/a.ts', 'pino'],
  ],
  'api-vendor': [
    ['src/control/a.ts', 'hono'],
    ['src/cli/a.ts', '@hono/node-server'],
  ],
  'mail-vendor': [['src/cli/a.ts', 'nodemailer']],
  'command-line-vendor': [['src/control/a.ts', 'commander']],
};

/** Imports that no rule may refuse. */
const allowed: [from: string, to: string][] = [
  // Closes the cycle above, which is reported once.
  ['src/model/egg.ts', 'src/model/chicken.ts'],
  ['src/cli/b.ts', 'src/storage/local.ts'],
  ['src/cli/b.ts', 'src/platform/docker/docker.ts'],
  ['src/cli/b.ts', 'commander'],
  ['src/repository/b.ts', 'src/storage/storage.ts'],
  ['src/repository/b.ts', 'src/format/tree.ts'],
  ['src/repository/b.test.ts', 'src/storage/local.ts'],
  ['src/repository/b.test.ts', 'test/peers.ts'],
  ['src/format/kernel/b.ts', 'koffi'],
  ['src/format/b.ts', 'sodium-native'],
  ['src/engine/source/b.ts', 'koffi'],
  ['src/engine/transfer/b.ts', 'age-encryption'],
  ['src/storage/s3-b.ts', '@aws-sdk/client-s3'],
  ['src/storage/rest-connections.ts', 'undici'],
  ['src/api/b.ts', 'hono'],
  ['src/control/configuration/b.ts', 'zod'],
  ['src/control/discovery/b.ts', 'yaml'],
  ['src/control/metrics/b.ts', 'prom-client'],
  ['src/control/logging/b.ts', 'pino'],
  ['src/index.ts', 'src/storage/local.ts'],
  ['test/properties.ts', 'fast-check'],
  ['web/b.ts', 'src/api/contract.ts'],
];

test('every rule of the layers refuses what it is there for, and nothing else', (t) => {
  const folder = scratch(t);
  cpSync(join(root, configuration), join(folder, configuration));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  writeImports(folder, [...Object.values(offences).flat(), ...allowed]);

  const found = new Set(cruise(folder, [...folders, 'web']).map(({ rule, from, to }) => `${rule.name}: ${from} -> ${packageName(to)}`));
  const expected = Object.entries(offences).flatMap(([rule, imports]) => imports.map(([from, to]) => `${rule}: ${from} -> ${to}`));
  const missed = expected.filter((offence) => !found.has(offence));
  assert.deepEqual(missed, [], 'offences that went unnoticed');
  for (const [from, to] of allowed) {
    const refused = [...found].filter((violation) => violation.endsWith(`: ${from} -> ${to}`));
    assert.deepEqual(refused, []);
  }
});

test('every rule has an offence here that proves it', () => {
  const { forbidden } = createRequire(import.meta.url)(join(root, configuration)) as { forbidden: { name: string; comment: string }[] };
  assert.deepEqual(
    forbidden.map(({ name }) => name),
    Object.keys(offences),
  );
  for (const { name, comment } of forbidden) assert.ok(comment.length > 20, `${name} says why`);
});

const isFile = (to: string) => to.includes('/') && !to.startsWith('@');

/** Files with these imports, half of them for types only (which count too), and an empty file for every target. */
function writeImports(folder: string, imports: [from: string, to: string][]): void {
  const files = new Map<string, string>();
  imports.forEach(([from, to], i) => {
    const specifier = isFile(to) ? `${'../'.repeat(from.split('/').length - 1)}${to}` : to;
    const line = i % 2 === 0 ? `import type { x as x${i} } from '${specifier}';\n` : `export const x${i} = await import('${specifier}');\n`;
    files.set(from, (files.get(from) ?? '') + line);
  });
  for (const [, to] of imports) {
    if (isFile(to) && !to.endsWith('nowhere.ts') && !files.has(to)) files.set(to, 'export type x = 1;\n');
  }
  for (const name of folders) mkdirSync(join(folder, name), { recursive: true });
  for (const [name, text] of files) {
    mkdirSync(join(folder, dirname(name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
}

function cruise(folder: string, paths: string[]): Violation[] {
  const command = join(root, 'node_modules', '.bin', 'depcruise');
  const run = spawnSync(process.execPath, [command, '--config', configuration, '--output-type', 'json', ...paths], {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  assert.equal(run.stderr, '');
  return (JSON.parse(run.stdout) as { summary: { violations: Violation[] } }).summary.violations;
}

/** `zod` for a path below its package, anything else as it is. */
function packageName(path: string): string {
  return /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? (path.includes('nowhere') ? 'src/model/nowhere.ts' : path);
}
