/**
 * What survives a power failure is decided by the order of system calls: a file is flushed before it gets its name, the name is flushed
 * before anything relies on it, and data comes before the index, the index before the snapshot.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { requirePeer } from '../peers.ts';
import { createProject, ended, fillVolume, start } from './project.ts';

/** A finished system call: `begun` and `done` are line numbers of the trace. */
type Call = { name: string; text: string; begun: number; done: number };

/** Joins what strace tore apart because other threads came between. */
function callsOf(trace: string): Call[] {
  const calls: Call[] = [];
  const unfinished = new Map<string, { name: string; text: string; begun: number }>();
  for (const [line, text] of trace.split('\n').entries()) {
    const [, thread, rest] = /^(\d+) +(.*)$/.exec(text) ?? [];
    if (thread === undefined || rest === undefined) continue;
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(rest);
    const begun = resumed ? unfinished.get(thread) : { name: /^\w+/.exec(rest)?.[0] ?? '', text: rest, begun: line };
    if (begun === undefined) continue;
    if (rest.endsWith('<unfinished ...>')) unfinished.set(thread, begun);
    else calls.push({ ...begun, text: begun.text + (resumed?.[2] ?? ''), done: line });
  }
  return calls.filter(({ text }) => !/= -1 /.test(text));
}

/** The path of the first descriptor of a call, as `strace -y` shows it. */
const pathOfDescriptor = ({ text }: Call) => /^\w+\(\d+<([^>]*)>/.exec(text)?.[1];

test('files are flushed before they get their names, names before anything relies on them', async (t) => {
  const strace = requirePeer(t, 'strace');
  if (strace === undefined) return;
  const probe = spawnSync(strace, ['-o', '/dev/null', 'true'], { encoding: 'utf8' });
  if (probe.status !== 0) return t.skip(`tracing is not permitted here: ${probe.stderr.trim()}`);
  const project = createProject(t);
  fillVolume(project.volume, 400_000, 'order');
  const log = join(project.folder, 'trace');
  const traced = 'trace=write,pwrite64,writev,pwritev,fsync,fdatasync,rename,renameat,renameat2,mkdir,mkdirat';
  const run = await ended(start(project.folder, ['backup', '--json'], [strace, '-f', '-y', '-s', '512', '-e', traced, '-o', log]));
  assert.equal(run.code, 0, run.stderr);
  const calls = callsOf(readFileSync(log, 'utf8'));

  const flushes = calls.filter(({ name }) => name === 'fsync' || name === 'fdatasync');
  const flushedAfter = (path: string, line: number) => flushes.find((call) => pathOfDescriptor(call) === path && call.begun > line);
  const renames = calls.flatMap((call) => {
    if (!call.name.startsWith('rename')) return [];
    const [from, to] = [...call.text.matchAll(/"([^"]*)"/g)].map(([, path]) => path as string);
    return from?.startsWith(project.repository) && to
      ? [{ ...call, from, to, kind: to.slice(project.repository.length + 1).split('/')[0] as string }]
      : [];
  });
  const durable = new Map<string, { first: number; last: number }>();
  for (const { from, to, kind, begun, done } of renames) {
    const writes = calls.filter((call) => /^p?write/.test(call.name) && pathOfDescriptor(call) === from);
    assert.ok(writes.length > 0, `${to} was never written`);
    const flushed = flushes.find((call) => pathOfDescriptor(call) === from && call.done < begun);
    assert.ok(flushed && writes.every((write) => write.done < flushed.begun), `${to} got its name before it was flushed`);
    const named = flushedAfter(dirname(to), done);
    assert.ok(named, `the name of ${to} was not flushed`);
    const seen = durable.get(kind);
    durable.set(kind, { first: Math.min(seen?.first ?? begun, begun), last: Math.max(seen?.last ?? 0, named.done) });
  }
  for (const made of calls.filter((call) => call.name.startsWith('mkdir') && call.text.includes(project.repository))) {
    const path = /"([^"]*)"/.exec(made.text)?.[1] as string;
    const named = flushedAfter(dirname(path), made.done);
    const used = renames.find(({ to }) => dirname(to) === path);
    assert.ok(named && used && named.done < used.begun, `${path} was used before it was flushed`);
  }
  const at = (kind: string) => durable.get(kind) ?? assert.fail(`nothing was stored in ${kind}`);
  assert.ok(at('locks').last < at('data').first, 'data was stored before the lock');
  assert.ok(at('data').last < at('index').first, 'the index was stored before its packs were durable');
  assert.ok(at('index').last < at('snapshots').first, 'the snapshot was stored before the index was durable');
  t.diagnostic(
    `order of writes: ${renames.length} files, each written, flushed, named and the name flushed, in the order ${[...durable.keys()].join(', ')}`,
  );
});
