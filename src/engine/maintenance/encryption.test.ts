import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc, runs } from '../../../test/properties.ts';
import { textOfKinds } from '../../model/file-kinds.ts';
import type { SnapshotFacts } from './snapshot-change.ts';
import { confirmedTag, judgeHistory } from './snapshot-evidence.ts';

const dayMs = 86_400_000;
const nowMs = Date.UTC(2026, 4, 1);
const settings = { enabled: true, shrinkPercent: 50, churnPercent: 90, unreadable: 0, torn: true };
const fileBytes = 20_000;

/** A generator of its own (Park and Miller's), so that a seed makes a history. */
function chance(seed: number): (below: number) => number {
  let state = (Math.abs(seed) % 2_147_483_646) + 1;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return Math.floor((state / 2_147_483_647) * below);
  };
}

/** A volume, as counts of its files by kind, and what was done to it since the last backup. */
class Volume {
  readonly kinds = new Map<string, number>();
  private filesNew = 0;
  private filesChanged = 0;
  private incompressible = 0;
  readonly facts: SnapshotFacts[] = [];

  get files(): number {
    return [...this.kinds.values()].reduce((sum, files) => sum + files, 0);
  }
  add(kind: string, files: number, compresses = true): void {
    this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + files);
    this.filesNew += files;
    if (!compresses) this.incompressible += files * fileBytes;
  }
  remove(kind: string, files: number): number {
    const had = this.kinds.get(kind) ?? 0;
    const gone = Math.min(had, Math.max(0, files));
    if (gone === had) this.kinds.delete(kind);
    else this.kinds.set(kind, had - gone);
    return gone;
  }
  change(files: number, compresses = true): void {
    this.filesChanged += files;
    if (!compresses) this.incompressible += files * fileBytes;
  }
  /** Of every kind alike, so many thousandths. */
  removeShare(thousandths: number): number {
    let gone = 0;
    for (const [kind, files] of [...this.kinds]) gone += this.remove(kind, Math.round((files * thousandths) / 1000));
    return gone;
  }
  backUp(tags: string[] = []): void {
    const { files, filesNew, filesChanged, incompressible } = this;
    const number = this.facts.length;
    const addedBytes = (number === 0 ? files : filesNew + filesChanged) * fileBytes;
    const timeMs = nowMs - (400 - number) * dayMs;
    this.facts.push({
      ...{ id: `${number}`, time: `day ${number}`, timeMs, parent: number === 0 ? undefined : `${number - 1}`, begunMs: timeMs },
      ...{ files, bytes: files * fileBytes, filesNew, filesChanged, addedBytes },
      addedPackedBytes: Math.round(incompressible * 1.001 + (addedBytes - incompressible) * 0.3),
      incompressibleBytes: incompressible,
      kinds: textOfKinds(this.kinds),
      ...{ unreadable: 0, torn: false, tags },
    });
    this.filesNew = this.filesChanged = this.incompressible = 0;
  }
  judged(): [id: number, kind: string, message: string][] {
    return [...judgeHistory(this.facts, settings, nowMs)].map(([{ id }, { kind, message }]) => [Number(id), kind, message]);
  }
}

const languages = ['js', 'py', 'rs', 'go', 'java', 'c', 'ts', 'php'];

function developers(random: (below: number) => number): Volume {
  const volume = new Volume();
  for (const kind of languages.slice(0, 3)) volume.add(kind, 400 + random(1500));
  volume.add('', 2_000 + random(2_000));
  for (const kind of ['json', 'md', 'map', 'txt', 'log', 'qzx', 'tsbuildinfo']) volume.add(kind, 20 + random(400));
  volume.add('png', 50 + random(200), false);
  return volume;
}

/** What happens in volumes any day. */
const ordinary: Record<string, (volume: Volume, random: (below: number) => number) => void> = {
  work: (volume, random) => volume.change(random(Math.ceil(volume.files / 12))),
  'log rotation': (volume, random) => {
    volume.add('log', 3);
    volume.add('gz', volume.remove('log', random(60)), false);
    volume.remove('gz', random(50));
  },
  'all logs compressed for the first time': (volume) => volume.add('zst', volume.remove('log', 1_000_000), false),
  // Many more at once, on the day on which as many others go, are an anomaly by their content.
  uploads: (volume, random) => volume.add(['jpg', 'mp4', 'pdf'][random(3)] as string, random(150), false),
  'uploads of a kind that nobody knows': (volume, random) => volume.add('fastq9', random(2_000)),
  'a package upgrade': (volume, random) => {
    const gone = volume.remove('js', random(1_500)) + volume.remove('map', random(300));
    volume.add('mjs', Math.round(gone * 0.5));
    volume.add('cts', Math.round(gone * 0.4));
    volume.add('json', random(50));
  },
  'git gc': (volume, random) => {
    volume.remove('', random(1_500));
    for (const kind of ['pack', 'idx', 'rev']) volume.add(kind, 1, false);
  },
  'commits, and files of editors': (volume, random) => {
    volume.add('', random(300), false);
    volume.add(`swp${random(9)}`, random(5));
    volume.add('?', random(10));
  },
  'another project instead of one': (volume, random) => {
    const gone = volume.remove(languages[random(languages.length)] as string, 1_200);
    volume.add(languages[random(languages.length)] as string, gone);
  },
  'photographs sorted out': (volume, random) => volume.add('webp', Math.floor(volume.remove('jpg', random(500)) / 2), false),
};

const unknownUploads = 'uploads of a kind that nobody knows';
/** Half a volume that goes, and as much of a kind that nobody knows that comes, is what encryption looks like. */
const lives: Record<string, string[]> = {
  'all but kinds that nobody knows': Object.keys(ordinary).filter((name) => name !== unknownUploads),
  'kinds that nobody knows, where little goes': [
    'work',
    'log rotation',
    'uploads',
    'git gc',
    'commits, and files of editors',
    unknownUploads,
  ],
};
for (const [name, life] of Object.entries(lives))
  test(`a year of ordinary life of developers raises nothing: ${name}`, () => {
    const days = fc.array(fc.array(fc.constantFrom(...life), { maxLength: 4 }), { minLength: 40, maxLength: 200 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), days, (seed, days) => {
        const random = chance(seed);
        const volume = developers(random);
        volume.backUp();
        for (const day of days) {
          for (const name of day) ordinary[name]?.(volume, random);
          volume.backUp();
        }
        // A volume that loses half of itself is told of by another rule.
        assert.deepEqual(
          volume.judged().filter(([, kind]) => kind === 'extensions' || kind === 'entropy'),
          [],
        );
      }),
      { numRuns: runs(60) },
    );
  });

/** @returns the volume with a year before it, of which the last day is the number. */
function lived(seed: number, days: number): { volume: Volume; random: (below: number) => number } {
  const random = chance(seed);
  const volume = developers(random);
  volume.backUp();
  for (let day = 1; day < days; day++) {
    volume.change(random(Math.ceil(volume.files / 15)));
    volume.add('json', random(4));
    volume.backUp();
  }
  return { volume, random };
}

const seeds = { min: 1, max: 1_000_000 };
const extensions = {
  'known of ransomware': 'locked',
  'known to nobody': 'qa81zk',
  'another for each file': '?',
};
for (const [name, extension] of Object.entries(extensions)) {
  test(`60% encrypted and renamed at once is found in the backup after it: ${name}`, () => {
    fc.assert(
      fc.property(fc.integer(seeds), fc.integer({ min: 4, max: 60 }), (seed, days) => {
        const { volume } = lived(seed, days);
        volume.add(extension, volume.removeShare(600), false);
        volume.backUp();
        volume.backUp();
        const [first, second, ...more] = volume.judged();
        assert.deepEqual([first?.[0], first?.[1], second?.[0], second?.[1], more], [days, 'extensions', days + 1, 'extensions', []]);
        assert.match(first?.[2] ?? '', /% of its files (became \.|got extensions)/);
      }),
      { numRuns: runs(20) },
    );
  });

  test(`5% a backup, encrypted and renamed, is found before a quarter of it is gone: ${name}`, () => {
    fc.assert(
      fc.property(fc.integer(seeds), fc.integer({ min: 20, max: 60 }), (seed, days) => {
        const { volume, random } = lived(seed, days);
        const step = Math.ceil(volume.files / 20);
        for (let day = 0; day < 8; day++) {
          const thousandths = Math.ceil(
            (1000 * step) / [...volume.kinds].reduce((sum, [kind, n]) => sum + (kind === extension ? 0 : n), 0),
          );
          const before = volume.remove(extension, 1_000_000);
          volume.add(extension, volume.removeShare(thousandths), false);
          volume.kinds.set(extension, (volume.kinds.get(extension) ?? 0) + before);
          volume.change(random(Math.ceil(volume.files / 20)));
          volume.backUp();
        }
        const [first] = volume.judged();
        assert.equal(first?.[1], 'extensions');
        assert.ok((first?.[0] ?? 1e9) <= days + 4, `${first?.[0]} of ${days}`);
      }),
      { numRuns: runs(20) },
    );
  });
}

test('5% a backup, encrypted under the same names, is found', () => {
  fc.assert(
    fc.property(fc.integer(seeds), fc.integer({ min: 6, max: 60 }), (seed, days) => {
      const { volume, random } = lived(seed, days);
      for (let day = 0; day < 8; day++) {
        volume.change(Math.ceil(volume.files / 20), false);
        volume.change(random(Math.ceil(volume.files / 15)));
        volume.backUp();
      }
      const [first] = volume.judged();
      assert.equal(first?.[1], 'entropy');
      assert.ok((first?.[0] ?? 1e9) < days + 6, `${first?.[0]} of ${days}`);
      const copies = volume.facts.map((one) => ({ ...one, parent: undefined }));
      assert.equal([...judgeHistory(copies, settings, nowMs).keys()][0]?.id, `${first?.[0]}`, 'in another repository, too');
    }),
    { numRuns: runs(20) },
  );
});

for (const [name, strike] of Object.entries({
  extensions: (volume: Volume, files: number) => volume.add('qa81zk', volume.remove('json', files), false),
  entropy: (volume: Volume, files: number) => volume.change(files, false),
}))
  test(`half a percent an hour is found within two days and a half: ${name}`, () => {
    const volume = new Volume();
    volume.add('json', 4_000);
    volume.backUp();
    for (let hour = 1; hour < 100; hour++) {
      volume.change(3);
      volume.backUp();
    }
    for (let hour = 0; hour < 60; hour++) {
      strike(volume, 20);
      volume.backUp();
    }
    const hourly = volume.facts.map((one, i) => {
      const timeMs = nowMs - (400 - i) * 3_600_000;
      return { ...one, timeMs, begunMs: timeMs };
    });
    const [first] = judgeHistory(hourly, settings, nowMs);
    assert.equal(first?.[1].kind, name);
    assert.ok(Number(first?.[0].id) <= 100 + 64, first?.[0].id);
  });

test('a quiet volume, of which nobody remembers the first backup, is looked after too', () => {
  const { volume } = lived(1, 2);
  for (let day = 0; day < 8; day++) {
    volume.change(1);
    volume.backUp();
  }
  for (let day = 0; day < 6; day++) {
    volume.change(Math.ceil(volume.files / 20), false);
    volume.backUp();
  }
  const judged = [...judgeHistory(volume.facts.slice(3), settings, nowMs)];
  assert.deepEqual(
    judged.map(([{ id }, { kind }]) => [Number(id), kind]),
    [14, 15].map((day) => [day, 'entropy']),
  );
});

test('who says that it is as it should be is believed, and what follows is compared with that', () => {
  const { volume } = lived(1, 20);
  volume.add('locked', volume.removeShare(600), false);
  volume.backUp();
  volume.backUp([confirmedTag]);
  for (let day = 0; day < 40; day++) volume.backUp();
  assert.deepEqual(
    volume.judged().map(([day]) => day),
    [20],
  );
});

test('snapshots of other tools tell of no kinds, and of none of them it is thought', () => {
  const { volume } = lived(1, 20);
  volume.add('locked', volume.removeShare(600), false);
  volume.backUp();
  const facts = volume.facts.map(({ kinds: _, incompressibleBytes: __, ...rest }) => rest);
  assert.ok(![...judgeHistory(facts, settings, nowMs).values()].some(({ kind }) => kind === 'extensions'));
});

test('`churn: off` switches it off', () => {
  const { volume } = lived(1, 20);
  volume.add('locked', volume.removeShare(600), false);
  volume.backUp();
  assert.equal(judgeHistory(volume.facts, { ...settings, churnPercent: undefined }, nowMs).size, 0);
});
