/**
 * Writes chunker.json anew, by letting restic cut: `node test/vectors/make-chunker.ts restic...`, each the path of a restic
 * binary. Every binary makes its own repository, so with its own polynomial. Format the file afterwards.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChunkerVectors, type ContentPart, contentOf } from './chunker-content.ts';

const kiB = 1024;
const miB = 1024 * kiB;

const contents: { name: string; parts: ContentPart[] }[] = [
  { name: 'empty', parts: [] },
  { name: 'random', parts: [{ random: 'random', bytes: 20 * miB + 1 }] },
  {
    name: 'zeros-between',
    parts: [
      { random: 'before', bytes: 700 * kiB },
      { zeros: true, bytes: 3 * miB + 123 },
      { random: 'after', bytes: 3 * miB },
      { zeros: true, bytes: 64 },
      { random: 'at the end', bytes: 600 * kiB },
    ],
  },
  { name: 'never-cut', parts: [{ repeat: 'holdfast ', bytes: 17 * miB }] },
  { name: 'below-minimum', parts: [{ random: 'edge', bytes: 512 * kiB - 1 }] },
  { name: 'minimum', parts: [{ random: 'edge', bytes: 512 * kiB }] },
  { name: 'above-minimum', parts: [{ zeros: true, bytes: 512 * kiB + 1 }] },
  { name: 'maximum', parts: [{ repeat: 'x', bytes: 8 * miB }] },
];

type Blob = { id: string; length: number; uncompressed_length?: number };
type Index = { packs: { blobs: Blob[] }[] };

function vectorsOf(restic: string, folder: string): ChunkerVectors[number] {
  const env = {
    ...process.env,
    RESTIC_PASSWORD: 'vectors',
    RESTIC_REPOSITORY: join(folder, 'repository'),
    RESTIC_CACHE_DIR: join(folder, 'cache'),
  };
  const run = (...args: string[]) =>
    execFileSync(restic, args, { env, cwd: join(folder, 'source'), encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  for (const { name, parts } of contents) writeFileSync(join(folder, 'source', name), contentOf(parts));
  run('init', '--repository-version', '2');
  run('backup', '.');

  const { chunker_polynomial: polynomial } = JSON.parse(run('cat', 'config')) as { chunker_polynomial: string };
  const lengths = new Map<string, number>();
  for (const name of run('list', 'index').trim().split('\n')) {
    const index = JSON.parse(run('cat', 'index', name)) as Index;
    for (const blob of index.packs.flatMap((pack) => pack.blobs)) lengths.set(blob.id, blob.uncompressed_length ?? blob.length - 32);
  }
  const [snapshot] = JSON.parse(run('snapshots', '--json')) as { tree: string }[];
  const { nodes } = JSON.parse(run('cat', 'blob', snapshot!.tree)) as { nodes: { name: string; content: string[] | null }[] };
  return {
    writtenBy: run('version').split(' compiled')[0]!.trim(),
    polynomial,
    contents: contents.map(({ name, parts }) => {
      const ids = nodes.find((node) => node.name === name)!.content ?? [];
      return { name, parts, chunkBytes: ids.map((id) => lengths.get(id)!) };
    }),
  };
}

const vectors = process.argv.slice(2).map((restic) => {
  const folder = mkdtempSync(join(tmpdir(), 'chunker-vectors-'));
  try {
    mkdirSync(join(folder, 'source'));
    return vectorsOf(restic, folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
writeFileSync(join(import.meta.dirname, 'chunker.json'), JSON.stringify(vectors));
