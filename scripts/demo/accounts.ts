/** `claude-data` and `github-data`: little data, but tokens, which only their owner may read. The tokens open nothing. */
import { appendFileSync, chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Random, randomFrom } from '../../bench/random.ts';
import { hex, sentence } from './texts.ts';

const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;
const token = (random: Random): string => `demo-token-that-opens-nothing-${hex(random, 40)}`;

export function makeClaude(root: string, seed: string, scale: number): void {
  const random = randomFrom(`${seed}/claude`);
  chmodSync(root, 0o700);
  writeCredentials(root, random);
  mkdirSync(join(root, 'profiles'), { mode: 0o700 });
  for (const name of ['personal', 'work', 'automation']) {
    writeFileSync(join(root, 'profiles', `${name}.json`), json({ name, model: 'default', token: token(random) }), { mode: 0o600 });
  }
  writeFileSync(join(root, 'settings.json'), json({ theme: 'dark', editor: 'vim', telemetry: false }));
  mkdirSync(join(root, 'conversations'));
  for (let number = 0; number < Math.max(2, Math.round(60 * scale)); number++) {
    writeFileSync(join(root, 'conversations', `${hex(random, 16)}.jsonl`), conversation(random, 80));
  }
}

function writeCredentials(root: string, random: Random): void {
  const path = join(root, '.credentials.json');
  const oauth = { accessToken: token(random), refreshToken: token(random), expiresAt: 1_790_000_000_000 + random.below(1_000_000) };
  writeFileSync(path, json({ oauth, scopes: ['user', 'inference'] }), { mode: 0o600 });
}

const conversation = (random: Random, turns: number): string =>
  Array.from(
    { length: turns },
    (_, turn) => `${JSON.stringify({ role: turn % 2 ? 'assistant' : 'user', text: sentence(random, 120) })}\n`,
  ).join('');

export function makeGithub(root: string, seed: string): void {
  const random = randomFrom(`${seed}/github`);
  chmodSync(root, 0o700);
  writeFileSync(join(root, 'hosts.yml'), `github.com:\n  user: demo\n  oauth_token: ${token(random)}\n  git_protocol: https\n`, {
    mode: 0o600,
  });
  writeFileSync(join(root, 'config.yml'), 'git_protocol: https\nprompt: enabled\naliases:\n  co: pr checkout\n', { mode: 0o600 });
}

/** A token is renewed, as happens every few hours, and a conversation goes on. Returns what was done, in words. */
export function changeAccounts(claude: string, seed: string): string {
  const random = randomFrom(`${seed}/claude/changes`);
  writeCredentials(claude, random);
  appendFileSync(join(claude, 'conversations', 'new.jsonl'), conversation(random, 40));
  return 'a token renewed, a conversation begun';
}
