/** Assembles trees of many entries and says what that took: the arguments are their shape and how many there are. */
import { createTreeAssembly, type DirectoryVisit } from '../src/engine/backup/assemble-trees.ts';
import { sha256Hex } from '../src/format/kernel/sha256.ts';
import type { BlobId } from '../src/model/ids.ts';
import type { RawString } from '../src/model/raw-bytes.ts';
import { node } from './tree-node.ts';

const [shape = '', count = ''] = process.argv.slice(2);
const entries = Number(count);
const directories = Math.ceil(entries / 30);

/** Each number below the count once, far apart; coprime steps do that. */
const step = 1_000_003;
const pathOf = (i: number): string => {
  if (shape === 'flat') return `file${i}`;
  return `part${(i % directories) % 100}/directory${i % directories}/file${i}`;
};

const fail = (what: string): never => {
  throw new Error(what);
};
const assembly = createTreeAssembly(
  { lost: (path) => fail(`lost ${path}`), misplaced: fail, contrary: fail, repeated: fail },
  { memoryBytes: 1024 * 1024 },
);
let saved = 0;
const visit = (): DirectoryVisit => ({
  keeps: () => true,
  child: async () => visit(),
  implied: (name) => node(name, { type: 'dir', content: undefined }),
  entry: ({ type }) => {
    if (type === 'file') saved++;
  },
  save: async (tree) => sha256Hex(tree) as BlobId,
});
for (let n = 0; n < entries; n++) {
  const i = (n * step) % entries;
  const path = pathOf(i) as RawString;
  if (shape === 'links' && i > 0) assembly.link(path, pathOf(0) as RawString);
  else if (shape === 'chain' && i > 0) assembly.link(path, pathOf(i - 1) as RawString);
  else {
    const content = [sha256Hex(Buffer.from(path)) as BlobId];
    assembly.add(path, node(path.slice(path.lastIndexOf('/') + 1), { content, inode: i * 7919 + 1, size: i, links: 1 }));
  }
}
await assembly.finish(visit());
assembly.close();
if (saved !== entries) fail(`${saved} of ${entries} files were saved`);
const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
console.log(JSON.stringify({ seconds: (userCPUTime + systemCPUTime) / 1e6, peakMiB: Math.round(maxRSS / 1024) }));
