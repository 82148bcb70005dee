import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Choice } from '../../control/restore-points.ts';
import type { AgeKeys } from '../../engine/transfer/age.ts';
import { compressorFor, type ExportFormat, exportFormats } from '../../engine/transfer/compress.ts';
import { exportArchive } from '../../engine/transfer/export-archive.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { shortId } from '../../model/ids.ts';
import { formatSize } from '../../model/quantities.ts';
import { type BrowseOptions, type Browsing, browse, configureBrowsing } from '../browsing.ts';
import { chooseSnapshots } from '../choose-snapshots.ts';
import type { Command, CommandContext } from '../command.ts';
import { completedConfiguration } from '../labelled-project.ts';
import { openOutputFile } from '../output/output-file.ts';
import { sendBytes } from '../output/send-bytes.ts';
import { displayText } from '../output/text.ts';
import { findPassword } from '../password.ts';
import { askNewSecret, terminalOf } from '../prompt.ts';
import { systemClock } from '../system-clock.ts';
import { packageVersion } from '../version.ts';

type Options = BrowseOptions & {
  output?: string;
  at?: string;
  format?: string;
  force?: boolean;
  dryRun?: boolean;
  recipient: string[];
  recipientsFile?: string;
  passphraseFile?: string;
  passphrase?: boolean;
  allowPlainSensitive?: boolean;
};

const collect = (value: string, previous: string[]) => [...previous, value];

export const command: Command<Options> = {
  configure(commander) {
    commander
      .argument('[volume...]', 'volumes, or the id of one snapshot; all of the restore point when none is named')
      .requiredOption('-o, --output <file>', 'the archive, which appears when it is complete; - for standard output')
      .option('--at <time|snapshot|latest>', 'the restore point at or before this time (`2 hours ago`), or a snapshot', 'latest')
      .option('--format <format>', `${exportFormats.join(', ')}; default by the name of the file, else tar`)
      .option('--recipient <age1...>', 'encrypt with age for the owner of this key (repeatable)', collect, [])
      .option('--recipients-file <file>', 'the same, for all recipients in a file, one a line')
      .option('--passphrase-file <file>', 'encrypt with age for who knows the passphrase in this file')
      .option('--passphrase', 'the same, and ask for the passphrase')
      .option('--allow-plain-sensitive', 'write sensitive volumes without encryption')
      .option('--force', 'replace a file of that name')
      .option('-n, --dry-run', 'write nothing; say what the archive would hold');
    configureBrowsing(commander);
    commander.addHelpText(
      'after',
      '\nEach volume is a directory of its name. `tar -xpf FILE` unpacks what is not encrypted; `age -d` comes first for what is.',
    );
  },

  async run(context) {
    const settings = await settingsOf(context);
    return browse(context, (browsing) => exportVolumes(context, browsing, settings));
  },
};

type Settings = { format: ExportFormat; keys: AgeKeys | undefined };

async function settingsOf(context: CommandContext<Options>): Promise<Settings> {
  const { options, stdout } = context;
  if (options.output === '') throw new HoldfastError('usage', '--output needs the name of a file');
  if (options.output === '-' && stdout.isTTY && !options.dryRun) {
    throw new HoldfastError('usage', 'an archive is not written to a terminal', {
      remedy: 'send it to a program or a file, or give --output FILE',
    });
  }
  return { format: formatOf(options), keys: await keysOf(context) };
}

function formatOf({ format, output = '' }: Options): ExportFormat {
  if (format === undefined) {
    const name = output.replace(/\.age$/, '');
    if (/\.(tar\.gz|tgz)$/.test(name)) return 'tar.gz';
    return /\.(tar\.zst|tzst)$/.test(name) ? 'tar.zst' : 'tar';
  }
  const known = exportFormats.find((one) => one === format);
  if (known !== undefined) return known;
  throw new HoldfastError('usage', `--format takes ${exportFormats.join(', ')}, not ${JSON.stringify(format)}`);
}

/** @throws `usage` when two ways are given; `password-missing`. */
async function keysOf(context: CommandContext<Options>): Promise<AgeKeys | undefined> {
  const { options, cwd, environment } = context;
  const byPassphrase = options.passphraseFile !== undefined || options.passphrase === true;
  const byRecipient = options.recipient.length > 0 || options.recipientsFile !== undefined;
  if (byPassphrase && byRecipient)
    throw new HoldfastError('usage', 'age encrypts either for recipients or with a passphrase', { remedy: 'give one of them' });
  if (options.passphraseFile !== undefined)
    return { passphrase: (await findPassword({ file: options.passphraseFile, environment, cwd })).toString() };
  if (byPassphrase) {
    const terminal = terminalOf(context);
    if (terminal === undefined) {
      throw new HoldfastError('password-missing', 'there is nobody to ask for a passphrase', { remedy: 'give --passphrase-file FILE' });
    }
    if (options.dryRun) return { passphrase: '-' };
    return { passphrase: (await askNewSecret(terminal, 'passphrase of the archive')).toString() };
  }
  if (!byRecipient) return undefined;
  const listed = options.recipientsFile === undefined ? [] : await readRecipients(resolve(cwd, options.recipientsFile));
  return { recipients: [...options.recipient, ...listed] };
}

async function readRecipients(file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch((cause) => {
    throw new HoldfastError('usage', `cannot read the recipients in ${file}`, { file, remedy: 'check --recipients-file', cause });
  });
  const lines = text.split('\n').map((line) => line.trim());
  const recipients = lines.filter((line) => line !== '' && !line.startsWith('#'));
  if (recipients.length === 0) throw new HoldfastError('usage', `there is no recipient in ${file}`, { file });
  return recipients;
}

async function exportVolumes(context: CommandContext<Options>, browsing: Browsing, { format, keys }: Settings): Promise<number> {
  const { options, output, stdout, cwd } = context;
  const choices = choose(context, browsing);
  await refusePlain(context, browsing, choices, keys);
  for (const { volume, snapshot, fromEarlierPoint } of choices)
    if (fromEarlierPoint) output.warning(`${displayText(volume)} is not in the newest restore point: it is taken from ${snapshot.time}`);
  let lost = 0;
  const archive = exportArchive({
    repository: browsing.repository,
    trees: browsing.trees,
    volumes: choices,
    programVersion: `holdfast ${packageVersion()}`,
    now: systemClock.now(),
    onSkipped(volume, path, type) {
      lost++;
      output.warning(`${displayText(volume)}: ${path} is left out: a tar archive holds no ${type}`);
    },
    onDone: (volume) => output.note(`${displayText(volume)}: done`),
  });
  // Made before there is a file, so that a wrong recipient leaves none.
  const encrypt = keys === undefined ? undefined : (await import('../../engine/transfer/age.ts')).ageEncryption(keys);
  const written = options.dryRun ? undefined : await write(encoded(archive, format, encrypt));
  tell(context, choices, { format, encrypted: keys !== undefined, sizeBytes: written });
  return lost > 0 ? exitCodes.incomplete : exitCodes.done;

  async function write(bytes: AsyncIterable<Uint8Array>): Promise<number | undefined> {
    if (options.output === '-') {
      await sendBytes(bytes, stdout, browsing.signal);
      return undefined;
    }
    const file = await openOutputFile(resolve(cwd, options.output as string), { replace: options.force ?? false });
    await file.write(bytes, browsing.signal);
    return file.sizeBytes;
  }
}

/** A word that is the id of a snapshot stands for it; all others are volumes. */
function choose({ operands, options }: CommandContext<Options>, { snapshots, configuration }: Browsing): Choice[] {
  const [only = ''] = operands;
  const isVolume = configuration?.volumes.some(({ name }) => name === only);
  const isId = operands.length === 1 && !isVolume && /^[0-9a-f]{4,64}$/.test(only) && snapshots.some(({ id }) => id.startsWith(only));
  const [volumes, at] = isId ? [[], only] : [[...new Set(operands)], options.at];
  return chooseSnapshots({ snapshots, configuration, volumes, at, now: systemClock.now() });
}

/** @throws `sensitive-plain` naming the volumes. */
async function refusePlain(
  context: CommandContext<Options>,
  { configuration }: Browsing,
  choices: readonly Choice[],
  keys: AgeKeys | undefined,
): Promise<void> {
  if (keys !== undefined || context.options.allowPlainSensitive || configuration === undefined) return;
  const { volumes } = await completedConfiguration(context, configuration);
  const sensitive = volumes.filter((volume) => volume.sensitive).map(({ name }) => name);
  const plain = choices.map(({ volume }) => volume).filter((volume) => sensitive.includes(volume));
  if (plain.length === 0) return;
  throw new HoldfastError(
    'sensitive-plain',
    `sensitive in holdfast.yaml or by label, and the archive is not encrypted: ${plain.join(', ')}`,
    {
      ...(plain.length === 1 && { volume: plain[0] as string }),
    },
  );
}

/** Compressed, then encrypted. Compression is the thread pool's work. */
function encoded(
  archive: AsyncIterable<Uint8Array>,
  format: ExportFormat,
  encrypt: ((bytes: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>) | undefined,
): AsyncIterable<Uint8Array> {
  const compressor = compressorFor(format);
  if (compressor === undefined) return encrypt?.(archive) ?? archive;
  const end = new PassThrough();
  pipeline(archive, compressor, end).catch((error) => end.destroy(error));
  return encrypt?.(end) ?? end;
}

function tell(
  { options, output, cwd }: CommandContext<Options>,
  choices: readonly Choice[],
  { format, encrypted, sizeBytes }: { format: ExportFormat; encrypted: boolean; sizeBytes: number | undefined },
): void {
  // On standard output is the archive, or nothing.
  if (options.output === '-' && !options.dryRun) return;
  const path = options.output === '-' ? '-' : resolve(cwd, options.output as string);
  const volumes = choices.map(({ volume, snapshot }) => ({ volume, snapshot: snapshot.id, time: snapshot.time }));
  output.document({ output: path, format, encrypted, dryRun: options.dryRun ?? false, sizeBytes, volumes });
  for (const { volume, snapshot, time } of volumes)
    output.line(`${displayText(volume)}  ${shortId(snapshot)}  ${time.replace(/\.\d+/, '')}`);
  const how = encrypted ? `${format}, encrypted` : format;
  output.line(
    sizeBytes === undefined ? `would write ${displayText(path)} (${how})` : `${displayText(path)}: ${formatSize(sizeBytes)} (${how})`,
  );
}
