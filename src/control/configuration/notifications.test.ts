import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HoldfastError } from '../../model/errors.ts';
import { renderTemplate, type TemplateValues } from './notification-template.ts';
import { parseConfiguration } from './parse.ts';

const load = (section: string) =>
  parseConfiguration(`volumes: { data: }\nnotifications:\n${section}`, '/srv/app/holdfast.yaml').notifications;

function mistakeOf(section: string): string {
  try {
    load(section);
  } catch (error) {
    assert.ok(error instanceof HoldfastError);
    return error.message.replaceAll('/srv/app/holdfast.yaml:', '');
  }
  return assert.fail(`accepted: ${section}`);
}

test('sections are resolved, with defaults', () => {
  const [chat, mail] = load(
    '  chat: { kind: slack, urlFrom: { environment: HOOK } }\n  mail: { kind: email, host: h, from: a@b, to: [c@d], user: u, passwordFrom: { file: ./p } }',
  );
  assert.deepEqual(chat?.destination, { kind: 'slack', url: { kind: 'environment', variable: 'HOOK' } });
  assert.deepEqual(chat?.on, ['broken', 'at-risk', 'recovered', 'job-failed', 'configuration']);
  assert.ok(mail?.destination.kind === 'email');
  assert.equal(mail.destination.port, 587);
  assert.deepEqual(mail.destination.login, { user: 'u', password: { kind: 'file', path: '/srv/app/p' } });
});

test('secrets are refused, and never repeated', () => {
  const secret = 'https://hooks.slack.com/services/T0/B0/verysecret';
  const attempts: [section: string, expected: RegExp][] = [
    [`  a: { kind: slack, url: "${secret}" }`, /the URL of `slack` is a secret/],
    [`  a: { kind: slack, urlFrom: "${secret}" }`, /3:\d+: `notifications.a.urlFrom`: expected a mapping/],
    [`  a: { kind: slack, urlFrom: { environment: "${secret}" } }`, /expected the name of an environment variable, found something else/],
    ['  a: { kind: email, host: h, from: f, to: [t], user: u, password: verysecret }', /a secret does not belong here \(`password`\)/],
    ['  a: { kind: gotify, url: "https://h", token: verysecret }', /`tokenFrom`/],
    ['  a: { kind: webhook, url: "https://u:verysecret@h/" }', /name where it is found with `urlFrom`/],
    ['  a: { kind: webhook, url: "https://h/?key=verysecret" }', /name where it is found with `urlFrom`/],
    [
      '  a: { kind: email, host: mail.example.com, from: f, to: [t], user: u, passwordFrom: { file: f }, security: none }',
      /could read the password/,
    ],
  ];
  for (const [section, expected] of attempts) {
    const said = mistakeOf(section);
    assert.match(said, expected);
    assert.ok(!said.includes('verysecret'), said);
  }
});

test('what does not go together is told', () => {
  assert.match(mistakeOf('  a: { kind: webhok, url: "https://h" }'), /did you mean `webhook`/);
  assert.match(mistakeOf('  a: { kind: command, run: [true], timeout: 30d }'), /expected a duration of at most a day/);
  assert.equal(load('  a: { kind: command, run: ["true"], timeout: 24h }')[0]?.timeoutMs, 86_400_000);
  assert.match(mistakeOf('  a: { kind: webhook }'), /`webhook` needs `url` or `urlFrom`/);
  assert.match(mistakeOf('  a: { kind: webhook, url: "https://h", topic: x }'), /`topic` is not for `webhook`/);
  assert.match(mistakeOf('  a: { kind: webhook, url: "ftp://h" }'), /begins with `https:/);
  assert.match(mistakeOf('  a: { kind: webhook, url: "https://h", on: [brokn] }'), /did you mean `broken`/);
  assert.match(mistakeOf('  a: { kind: webhook, url: "https://h", volumes: [dat] }'), /there is no volume `dat`; did you mean `data`/);
  assert.match(mistakeOf('  a: { kind: webhook, url: "https://h", urlFrom: { file: x } }'), /found both/);
  assert.match(mistakeOf('  a: { kind: slack, urlFrom: { file: x, environment: Y } }'), /one of `environment` and `file`/);
  assert.match(mistakeOf('  a: { kind: healthchecks, urlFrom: { file: x }, on: [broken] }'), /gets no messages/);
  const ping = (keys: string) => mistakeOf(`  a: { kind: healthchecks, urlFrom: { file: x }, ${keys} }`);
  assert.match(ping('schedule: hurly'), /there is no schedule `hurly`; did you mean `hourly`/);
  assert.match(ping('watch: backup, repository: locl'), /there is no repository `locl`; did you mean `local`/);
  assert.match(ping('schedule: hourly, watch: backup'), /expected no `watch`/);
  assert.match(ping('repository: local'), /expected `watch` with one of/);
  assert.match(
    mistakeOf(`  a: { kind: webhook, url: "https://h", body: '{"a": "{{titel}}"}' }`),
    /there is no field `titel`; did you mean `title`/,
  );
  assert.match(mistakeOf(`  a: { kind: webhook, url: "https://h", body: '{"a": {{title}}}' }`), /a template that becomes JSON/);
  assert.match(mistakeOf(`  a: { kind: webhook, url: "https://h", body: '{"a": "{{alerts}}"}' }`), /a template that becomes JSON/);
  assert.match(mistakeOf('  "a b": { kind: webhook, url: "https://h" }'), /in `notifications`: expected a name/);
});

test('a template fills in text that cannot leave its place', () => {
  const nasty = '"}, {"evil": "\\u0041\n\u2028$& {{text}}';
  const values: TemplateValues = {
    id: '1',
    project: nasty,
    title: nasty,
    text: 'T',
    condition: 'broken',
    time: 'now',
    count: '2',
    alerts: '[{"a":1}]',
  };
  const body = renderTemplate('{"t": "{{ title }}", "p": "{{project}}", "all": {{alerts}} }', values, 'application/json');
  assert.deepEqual(JSON.parse(body), { t: nasty, p: nasty, all: [{ a: 1 }] });
  const form = renderTemplate('title={{title}}&count={{count}}', values, 'application/x-www-form-urlencoded');
  assert.equal(new URLSearchParams(form).get('title'), nasty);
  const page = renderTemplate('<p title="{{title}}">{{alerts}}</p>', { ...values, title: `<'">&` }, 'text/html');
  assert.equal(page, '<p title="&#60;&#39;&#34;&#62;&#38;">[{&#34;a&#34;:1}]</p>');
  assert.equal(renderTemplate('{{title}}', values, 'text/plain'), nasty);
});
