import type { NotificationKind } from './configuration.ts';
import { isLoopback } from './listen.ts';
import { type Mapping, type Mistake, mapping, quoted, suggestion } from './mistakes.ts';
import { placeholdersOf, renderSample, templateFields } from './notification-template.ts';
import { pingMistakes } from './ping-mistakes.ts';
import type { LocatedValue, Path } from './yaml-document.ts';

/** Keys of single kinds: those that are needed, of several one, and those that may be there. */
const keysOf: Readonly<Record<NotificationKind, { needed: readonly (readonly string[])[]; further: readonly string[] }>> = {
  webhook: { needed: [['url', 'urlFrom']], further: ['tokenFrom', 'body', 'contentType'] },
  slack: { needed: [['urlFrom']], further: [] },
  discord: { needed: [['urlFrom']], further: [] },
  teams: { needed: [['urlFrom']], further: [] },
  ntfy: { needed: [['url', 'urlFrom'], ['topic']], further: ['tokenFrom'] },
  gotify: { needed: [['url', 'urlFrom'], ['tokenFrom']], further: [] },
  email: { needed: [['host'], ['from'], ['to']], further: ['port', 'security', 'ca', 'user', 'passwordFrom'] },
  command: { needed: [['run']], further: [] },
  healthchecks: { needed: [['urlFrom']], further: ['watch', 'schedule', 'repository', 'every'] },
};
const ofSomeKind = new Set(Object.values(keysOf).flatMap(({ needed, further }) => [...needed.flat(), ...further]));
const ofMessages = ['on', 'volumes', 'criticality', 'quiet', 'digest', 'timeZone'];

/** What is wrong between the keys of `notifications`, as reference-mistakes.ts is for all others. */
export function notificationMistakes(document: LocatedValue, root: Mapping): Mistake[] {
  const volumes = Object.keys(mapping(root.volumes));
  return Object.entries(mapping(root.notifications)).flatMap(([name, value]) => {
    const [path, given] = [['notifications', name], mapping(value)];
    const ofPings = given.kind === 'healthchecks' ? pingMistakes(document, path, given, root) : [];
    return [...ofNotification(document, path, given, volumes), ...ofPings];
  });
}

function ofNotification(document: LocatedValue, path: Path, given: Mapping, volumes: readonly string[]): Mistake[] {
  const mistakes: Mistake[] = [];
  const say = (key: string, text: string) => mistakes.push({ offset: document.offsetOfKey([...path, key]), text });
  const { kind } = given;
  if (typeof kind === 'string' && Object.hasOwn(keysOf, kind)) {
    const { needed, further } = keysOf[kind as NotificationKind];
    for (const choice of needed) {
      const found = choice.filter((key) => given[key] !== undefined);
      const expected = choice.map((key) => `\`${key}\``).join(' or ');
      if (found.length === 0) say('kind', `\`${kind}\` needs ${expected}`);
      if (found.length > 1) say(found[1] as string, `expected ${expected}, found both`);
    }
    const fitting = [...needed.flat(), ...further];
    for (const key of Object.keys(given)) {
      if (ofSomeKind.has(key) && !fitting.includes(key)) say(key, misplaced(kind, key));
      else if (kind === 'healthchecks' && ofMessages.includes(key))
        say(key, `\`${key}\` is not for \`healthchecks\`, which gets no messages`);
    }
  }
  for (const key of ['urlFrom', 'tokenFrom', 'passwordFrom']) {
    const from = mapping(given[key]);
    if ((from.environment === undefined) === (from.file === undefined) && given[key] !== undefined)
      say(key, 'expected one of `environment` and `file`');
  }
  if (typeof given.url === 'string') mistakes.push(...ofUrl(document, [...path, 'url'], given.url));
  mistakes.push(...ofTemplate(document, [...path, 'body'], given));
  if ((given.user === undefined) !== (given.passwordFrom === undefined)) {
    say(given.user === undefined ? 'passwordFrom' : 'user', 'expected `user` and `passwordFrom` together');
  }
  if (given.security === 'none' && given.user !== undefined && typeof given.host === 'string' && !isLoopback(given.host)) {
    say('security', 'everybody on the way could read the password: expected `tls` or `starttls` with `user`');
  }
  if (given.digest !== undefined && Array.isArray(given.on) && !given.on.includes('digest'))
    say('digest', 'expected `digest` in `on`, too');
  for (const [index, volume] of (Array.isArray(given.volumes) ? given.volumes : []).entries()) {
    if (typeof volume !== 'string' || volume === '' || volumes.includes(volume)) continue;
    const offset = document.offsetOfValue([...path, 'volumes', index]);
    mistakes.push({ offset, text: `there is no volume ${quoted(volume)}${suggestion(volume, volumes)}` });
  }
  return mistakes;
}

const misplaced = (kind: string, key: string): string =>
  key === 'url'
    ? `the URL of \`${kind}\` is a secret, and does not belong here: put it into the environment or a file, and name that with \`urlFrom\``
    : `\`${key}\` is not for \`${kind}\``;

function ofUrl(document: LocatedValue, path: Path, text: string): Mistake[] {
  const offset = document.offsetOfValue(path);
  if (!URL.canParse(text) || !/^https?:/i.test(text)) return [{ offset, text: 'expected a URL that begins with `https://` or `http://`' }];
  const { username, password, search } = new URL(text);
  if (username === '' && password === '' && search === '') return [];
  return [{ offset, text: 'a URL with a user, a password or a query may hold a secret: name where it is found with `urlFrom`' }];
}

function ofTemplate(document: LocatedValue, path: Path, { body, contentType }: Mapping): Mistake[] {
  if (typeof body !== 'string') return [];
  const offset = document.offsetOfValue(path);
  const unknown = placeholdersOf(body).filter((name) => !(templateFields as readonly string[]).includes(name));
  if (unknown.length > 0)
    return unknown.map((name) => ({ offset, text: `there is no field ${quoted(name)}${suggestion(name, templateFields)}` }));
  if (contentType !== undefined && !/json/i.test(String(contentType))) return [];
  try {
    JSON.parse(renderSample(body));
    return [];
  } catch {
    return [{ offset, text: 'expected a template that becomes JSON, or another `contentType`' }];
  }
}
