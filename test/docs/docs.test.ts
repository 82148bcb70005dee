/** The pages of documentation are true: their transcripts are run, their links lead somewhere, and what they name is there. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { requirePeer } from '../peers.ts';
import { assertTrue, checkout, type Shell, shopShell, transcripts } from './transcript.ts';

const read = (path: string) => readFileSync(join(checkout, path), 'utf8');
const pages = ['README.md', 'CONTRIBUTING.md', ...globSync('docs/*.md', { cwd: checkout }).sort()];

test('the transcripts in docs/operations.md are what happens', (t) => {
  const shell = shopShell(t);
  const blocks = transcripts(read('docs/operations.md'));
  assert.ok(blocks.length >= 8, 'the page has transcripts');
  for (const steps of blocks) {
    const needsRestic = steps.some(({ command }) => command.startsWith('restic '));
    if (!needsRestic) assertTrue(shell, steps);
    else if (requirePeer(t, 'restic') !== undefined) assertTrueButForRestic(shell, steps);
  }
});

/** What restic prints differs from version to version: it must succeed, and the others must say what the page says. */
function assertTrueButForRestic(shell: Shell, steps: ReturnType<typeof transcripts>[number]): void {
  for (const step of steps) {
    if (!step.command.startsWith('restic ')) assertTrue(shell, [step]);
    else {
      const { status, output } = shell.run(step.command);
      assert.equal(status, 0, `${step.command}\n${output}`);
    }
  }
}

/** Headings of a page as GitHub makes anchors of them. */
function anchors(page: string): string[] {
  const headings = [...page.replace(/^```.*?^```$/gms, '').matchAll(/^#+ (.*)$/gm)].map(([, text]) => text as string);
  return headings.map((text) =>
    text
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

for (const page of pages) {
  test(`links in ${page} lead to files and headings that are there`, () => {
    const prose = read(page).replace(/^```.*?^```$/gms, '');
    for (const [, target] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (target === undefined || /^[a-z]+:/.test(target)) continue;
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? page : join(dirname(page), path);
      assert.ok(existsSync(join(checkout, file)), target);
      if (anchor !== undefined) assert.ok(anchors(read(file)).includes(anchor), `there is no heading ${target}`);
    }
  });
}

test('what docs/architecture.md names in the source is there', () => {
  const named = [...read('docs/architecture.md').matchAll(/`((?:src|bin|scripts|test|bench|docs)\/[\w./-]*)`/g)].map(
    ([, path]) => path as string,
  );
  assert.ok(named.length > 40, 'the page names the source');
  for (const path of named) assert.ok(existsSync(join(checkout, path)), path);
});

test('docs/architecture.md names every folder of the source', () => {
  const page = read('docs/architecture.md');
  const folders = readdirSync(join(checkout, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => statSync(join(checkout, 'src', path)).isDirectory())
    .map((path) => `src/${path}/`);
  assert.deepEqual(
    folders.filter((folder) => !page.includes(`\`${folder}`)),
    [],
  );
});
