import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { HoldfastError } from '../../model/errors.ts';
import { type DiscoveredProject, freeName, validName } from './discovered.ts';

/** What a project with no named volumes can do: bind mounts are named, with what keeps them safe. */
export async function withoutVolumes({ directory, notCovered, remarks }: DiscoveredProject): Promise<HoldfastError> {
  const bound = [...new Map(notCovered.flatMap((gap) => (gap.kind === 'bind' ? [[gap.from, gap] as const] : []))).values()];
  const anonymous = notCovered.flatMap((gap) => (gap.kind === 'anonymous' ? [`${gap.path} of ${gap.service}`] : []));
  const directories = await namedDirectories(
    bound.map(({ from }) => from),
    directory,
  );
  const message = [
    'the compose file has no named volumes',
    ...(bound.length > 0
      ? [`it has bind mounts: ${bound.map(({ from, path, service }) => `${from} (${path} of ${service})`).join(', ')}`]
      : []),
    ...(anonymous.length > 0 ? [`it has anonymous volumes: ${anonymous.join(', ')}`] : []),
    ...remarks,
  ].join('; ');
  const volumes = directories.map(({ name, from }) => ` --volume ${shellWord(`${name}=${from}`)}`).join('');
  const remedy = [
    volumes === ''
      ? 'name directories to protect: holdfast init --volume NAME=PATH'
      : `to protect directories where they are: holdfast init${volumes} (leave out what need not be kept)`,
    ...(directories.length > 0 ? ['`holdfast migrate bind --all` can make named volumes of them then'] : []),
    ...(anonymous.length > 0 ? ['give anonymous volumes a name in the compose file'] : []),
  ].join('; ');
  return new HoldfastError('usage', message, { remedy });
}

/** Bind mounts that are directories here, each with a name that a volume can have. */
async function namedDirectories(sources: readonly string[], cwd: string): Promise<{ name: string; from: string }[]> {
  const named = new Map<string, string>();
  for (const from of sources) {
    const isDirectory = (await stat(resolve(cwd, from)).catch(() => undefined))?.isDirectory();
    if (!isDirectory) continue;
    named.set(freeName(validName(basename(resolve(cwd, from)), 'data'), named), from);
  }
  return [...named].map(([name, from]) => ({ name, from }));
}

/** As a shell takes it for one word. */
const shellWord = (text: string): string => (/^[\w./=@:+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
