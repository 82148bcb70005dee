/** The JSON that docs/cli.md shows has the members that the programs write. */
import assert from 'node:assert/strict';
import { chmodSync, globSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { lockRepository } from '../../src/repository/locks.ts';
import { openRepository } from '../../src/repository/repository.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { systemClock } from '../faults/engine.ts';
import { checkout, type Shell, shopShell } from './transcript.ts';

type Document = Record<string, unknown>;

const page = readFileSync(join(checkout, 'docs', 'cli.md'), 'utf8');
const parseLines = (text: string): Document[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Document);

/** Members of a document, and of the documents in it, with their types. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shape(value[0])];
  if (typeof value !== 'object' || value === null) return typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, shape(member)]));
}

/** Damages the largest pack, which holds the data of the volume `database`. */
function damage(folder: string): void {
  const packs = globSync('holdfast-repository/data/*/*', { cwd: folder }).map((name) => join(folder, name));
  const largest = packs.reduce((a, b) => (statSync(a).size >= statSync(b).size ? a : b));
  const bytes = readFileSync(largest);
  bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100);
  chmodSync(largest, 0o600);
  writeFileSync(largest, bytes);
}

/** A lock that this process holds is removed, whoever holds it. */
async function takeLockAway(folder: string, unlock: () => Document[]): Promise<Document[]> {
  const password = Buffer.from(readFileSync(join(folder, 'holdfast.key'), 'utf8').trim());
  const repository = await openRepository(createLocalStorage(join(folder, 'holdfast-repository')), password);
  const held = await lockRepository(repository, { exclusive: false, clock: systemClock });
  const documents = unlock();
  await held.release();
  return documents;
}

/** What all commands write, by the command. */
async function everything({ folder, run }: Shell): Promise<Record<string, Document[]>> {
  const ask = (command: string) => parseLines(run(`holdfast --json ${command}`).output);
  const askCopy = () => {
    mkdirSync(join(folder, 'other'));
    ask('init --directory ./other --volume uploads=../uploads');
    return ask('copy --from local --to ./other/holdfast-repository --password-file ./other/holdfast.key');
  };
  const askNotify = () => {
    const notifications = 'notifications: { tool: { kind: command, run: [/bin/true] } }';
    writeFileSync(join(folder, 'told.yaml'), `project: shop\nvolumes: { database: }\n${notifications}\n`);
    return ask('notify test --config ./told.yaml');
  };
  const said: Record<string, Document[]> = {
    init: ask('init --volume database=./database --volume uploads=./uploads'),
    events: [...ask('backup'), ...ask('backup'), ...ask('restore --to ./rehearsal --verify'), ...ask('check --read-data'), ...ask('drill')],
    snapshots: ask('snapshots'),
    ls: ask('ls uploads 2026'),
    volumes: ask('volumes'),
    audit: ask('audit'),
    status: ask('status'),
    find: [...ask("find '*-1.txt'"), ...ask(`find --tree ${ask('snapshots')[0]?.tree}`)],
    diff: [...ask(`diff ${ask('snapshots')[0]?.id} ${ask('snapshots')[1]?.id}`), ...ask('diff uploads --live')],
    dump: ask('dump uploads 2026/invoice-1.txt --output ./invoice.txt'),
    stats: ask('stats'),
    export: ask('export --output ./shop.tar.gz'),
    import: ask('import ./shop.tar.gz').filter(({ archive }) => archive !== undefined),
    copy: askCopy(),
    key: [...ask('key list'), ...ask('key add --generate ./second.key')],
    forget: ask('forget --dry-run'),
    tag: ask('tag --volume uploads --add reviewed'),
    notify: askNotify(),
    unlock: await takeLockAway(folder, () => ask('unlock --remove-all')),
  };
  writeFileSync(join(folder, 'holdfast-repository', 'locks', 'ab'.repeat(32)), 'no lock');
  said.unlock?.push(...ask('unlock --remove-all'));
  said.events?.push(...ask('prune --verbose'));
  damage(folder);
  said.events?.push(...ask('check --read-data'), ...ask('restore database --to ./damaged'), ...ask('backup nosuch'));
  said.repair = [...ask('repair packs --damaged'), ...ask('repair snapshots --forget')];
  for (const file of globSync('holdfast-repository/index/*', { cwd: folder })) rmSync(join(folder, file));
  said.repair.push(...ask('repair index'));
  return said;
}

test('the JSON on the page has the members that there are', async (t) => {
  const said = await everything(shopShell(t));
  const blocks = [...page.matchAll(/^```json ?(\w*)\n(.*?)^```$/gms)];
  const shown = new Set<unknown>();
  for (const [, command, text] of blocks) {
    for (const document of parseLines(text as string)) {
      shown.add(document.event ?? command);
      const written = (said[command || 'events'] as Document[]).filter(({ event }) => event === document.event).map(shape);
      assert.ok(written.length > 0, `nothing like ${JSON.stringify(document)} was written`);
      const same = written.find((candidate) => JSON.stringify(candidate) === JSON.stringify(shape(document)));
      if (same === undefined) assert.deepEqual(shape(document), written.at(-1));
    }
  }
  for (const { event } of said.events as Document[])
    if (event !== 'message') assert.ok(shown.has(event), `the page lacks the event ${event}`);
  assert.deepEqual(
    Object.keys(said).filter((command) => command !== 'events' && !shown.has(command)),
    [],
  );
});
