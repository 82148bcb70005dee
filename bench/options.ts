import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type CorpusName, corpusNames } from './corpora.ts';
import { type Link, parseLink } from './network.ts';
import { type PeerName, peerNames } from './peers.ts';
import { type WorkName, workNames } from './rounds.ts';

export type Options = {
  corpora: CorpusName[];
  peers: PeerName[];
  works: WorkName[];
  /** How often everything is done; the figures are medians. */
  repeat: number;
  /** Size of the corpora; 1 is the size that figures are published for. */
  scale: number;
  seed: string;
  restic?: string;
  markdown: boolean;
  /** Repositories and the copy of the corpus stay in the work folder for a closer look. */
  keep: boolean;
  growth: boolean;
  /** How long containers are halted for a backup, instead of the rest. */
  downtime: boolean;
  /** How fast volumes of Docker are read and restored in each way. */
  reading: boolean;
  /** What `volumes` and `audit` cost on a large Engine. */
  inventory: boolean;
  /** What the daemon takes with many volumes. */
  control: boolean;
  /** Ways to servers, each with all works; empty for the local disk. */
  network: Link[];
  /** Numbers of files that `growth` goes through. */
  counts: number[];
  workFolder: string;
  checkout: string;
};

export const usage = `npm run bench -- [options]

  --corpora LIST   of ${corpusNames.join(', ')} (default: all)
  --peers LIST     of ${peerNames.join(', ')} (default: all that are here)
  --works LIST     of ${workNames.join(', ')} (default: all)
  --repeat N       repetitions, of which the median counts (default: 3)
  --scale X        size of the corpora, for quick looks (default: 1)
  --seed TEXT      of the corpora (default: holdfast)
  --restic FILE    the newest restic (default: HOLDFAST_RESTIC, else the newest in .cache/peers)
  --markdown       the tables as Markdown
  --keep           leave repositories and corpus copy in the work folder
  --growth         measure 10,000 to 1,000,000 files instead of the corpora
  --downtime       how long a container is halted for a backup of its volume: 10 GiB in 100,000 files, times --scale (root, Docker)
  --reading        backup and restore of a Docker volume in each way: 1 GiB in 10,000 files, times --scale (root, Docker)
  --inventory      volumes and audit on 500 volumes and 200 containers, times --scale (root, Docker)
  --control        the daemon with 1,000 volumes and 10,000 snapshots, times --scale: start, answers, idle
  --network LIST   repositories on servers with so many milliseconds of latency, such as rest:0,rest:100,s3:20
  --counts LIST    numbers of files for --growth (default: 10000,100000,1000000)

Everything is kept in bench/.work, or in HOLDFAST_BENCH_DIR.
`;

/** @throws Error that says which option is wrong. */
export function parseOptions(args: readonly string[], checkout: string): Options | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      corpora: { type: 'string' },
      peers: { type: 'string' },
      works: { type: 'string' },
      repeat: { type: 'string', default: '3' },
      scale: { type: 'string', default: '1' },
      seed: { type: 'string', default: 'holdfast' },
      restic: { type: 'string' },
      markdown: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      growth: { type: 'boolean', default: false },
      downtime: { type: 'boolean', default: false },
      reading: { type: 'boolean', default: false },
      inventory: { type: 'boolean', default: false },
      control: { type: 'boolean', default: false },
      network: { type: 'string' },
      counts: { type: 'string', default: '10000,100000,1000000' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  return {
    corpora: someOf('corpora', corpusNames, values.corpora),
    peers: someOf('peers', peerNames, values.peers),
    works: someOf('works', workNames, values.works),
    repeat: positive('repeat', values.repeat),
    scale: positive('scale', values.scale),
    seed: values.seed,
    restic: values.restic,
    markdown: values.markdown,
    keep: values.keep,
    growth: values.growth,
    downtime: values.downtime,
    reading: values.reading,
    inventory: values.inventory,
    control: values.control,
    network: values.network?.split(',').map(parseLink) ?? [],
    counts: values.counts.split(',').map((count) => positive('counts', count)),
    workFolder: process.env.HOLDFAST_BENCH_DIR ?? join(checkout, 'bench', '.work'),
    checkout,
  };
}

function someOf<Name extends string>(option: string, known: readonly Name[], given: string | undefined): Name[] {
  if (given === undefined) return [...known];
  return given.split(',').map((name) => {
    const found = known.find((candidate) => candidate === name);
    if (found === undefined) throw new Error(`--${option}: there is no ${JSON.stringify(name)}, only ${known.join(', ')}`);
    return found;
  });
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${option}: expected a number greater than 0, got ${JSON.stringify(text)}`);
  return value;
}
