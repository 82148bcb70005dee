import { defaults } from './defaults.ts';
import { type Mapping, type Mistake, mapping, quoted, suggestion } from './mistakes.ts';
import type { LocatedValue, Path } from './yaml-document.ts';

/** Kinds of jobs that work on a repository. */
const atRepositories = ['backup', 'forget', 'check', 'copy', 'drill'];

/** What is wrong with what a section of `notifications` that pings says it watches. */
export function pingMistakes(document: LocatedValue, path: Path, given: Mapping, root: Mapping): Mistake[] {
  const mistakes: Mistake[] = [];
  const names = {
    schedule: Object.keys(root.schedules === undefined ? defaults.schedules : mapping(root.schedules)),
    repository: Object.keys(root.repositories === undefined ? defaults.repositories : mapping(root.repositories)),
  };
  for (const key of ['schedule', 'repository'] as const) {
    const name = given[key];
    if (typeof name !== 'string' || names[key].includes(name)) continue;
    const text = `there is no ${key} ${quoted(name)}${suggestion(name, names[key])}`;
    mistakes.push({ offset: document.offsetOfValue([...path, key]), text });
  }
  const say = (key: string, text: string) => mistakes.push({ offset: document.offsetOfKey([...path, key]), text });
  for (const other of ['watch', 'repository'])
    if (given.schedule !== undefined && given[other] !== undefined) say(other, `\`schedule\` says which jobs: expected no \`${other}\``);
  if (given.repository !== undefined && given.schedule === undefined && !atRepositories.includes(String(given.watch)))
    say('repository', `expected \`watch\` with one of ${atRepositories.map((kind) => `\`${kind}\``).join(', ')}`);
  return mistakes;
}
