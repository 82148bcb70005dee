import * as z from 'zod/mini';
import { knownApps } from './configuration.ts';
import { daemon, drills, maintenance, schedule } from './daemon-schema.ts';
import { defaults } from './defaults.ts';
import { notification } from './notifications-schema.ts';
import { duration, key, mapping, name, named, rate, required, size, span, text, texts, timeout, truth } from './schema-parts.ts';

/**
 * The shape of `holdfast.yaml`, as written. It only judges; units, paths and defaults are resolved afterwards. The `error` of
 * each schema says what was expected and never what was found: that is added, or withheld, by the reader of the issues.
 */

const exclusion = {
  exclude: key(texts('a pattern'), { description: 'What is left out: gitignore-like patterns, relative to the root of the volume.' }),
  excludeIfPresent: key(texts('a file name'), { description: 'A folder that holds a file of one of these names is left out.' }),
  excludeCaches: key(truth(), { description: 'Leave out folders with a valid CACHEDIR.TAG.', default: defaults.volume.excludeCaches }),
  oneFileSystem: key(truth(), {
    description: 'Stay on the file system of the root of the volume.',
    default: defaults.volume.oneFileSystem,
  }),
};

/** A whole number, or a word for all or none. */
const numberOr = <Word extends 'off' | 'unlimited'>(word: Word, least: number, most: number, numbers: string) => {
  const error = `${numbers}, or \`${word}\``;
  return z.union([z.int({ error }).check(z.gte(least, error), z.lte(most, error)), z.literal(word)], { error });
};
const percent = () => numberOr('off', 1, 100, 'a whole number from 1 to 100');
/** -1 is what `unlimited` is resolved to, and what restic takes. */
const keptCount = () => numberOr('unlimited', -1, Number.MAX_SAFE_INTEGER, 'a whole number, 0 or more');

const kept = (unit: string, value: number) =>
  key(keptCount(), { description: `For how many ${unit} that have a snapshot the newest is kept.`, default: value });
const keptWithin = (unit: string) => key(span(), { description: `The newest of each ${unit} is kept for so long.` });

const brake = () =>
  z.strictObject(
    {
      enabled: key(truth(), {
        description: 'Whether snapshots that look wrong are kept from pushing out others.',
        default: defaults.brake.enabled,
      }),
      shrink: key(percent(), {
        description: 'Wrong with less than so many percent of the bytes or files that were usual.',
        default: defaults.brake.shrink,
      }),
      churn: key(percent(), {
        description: 'Wrong when so many percent are new at once, in a volume that changes little.',
        default: defaults.brake.churn,
      }),
      unreadable: key(numberOr('off', 0, Number.MAX_SAFE_INTEGER, 'a whole number, 0 or more'), {
        description: 'Wrong with more files than that that could not be read.',
        default: defaults.brake.unreadable,
      }),
      torn: key(truth(), { description: 'Whether `torn` is wrong.', default: defaults.brake.torn }),
    },
    mapping('when a snapshot looks wrong'),
  );

const retention = () =>
  z.strictObject(
    {
      last: key(keptCount(), { description: 'How many of the newest are kept, whatever their age.', default: defaults.retention.last }),
      hourly: kept('hours', defaults.retention.hourly),
      daily: kept('days', defaults.retention.daily),
      weekly: kept('weeks', defaults.retention.weekly),
      monthly: kept('months', defaults.retention.monthly),
      yearly: kept('years', defaults.retention.yearly),
      within: key(span(), { description: 'Everything is kept that is younger than that, seen from the newest.' }),
      withinHourly: keptWithin('hour'),
      withinDaily: keptWithin('day'),
      withinWeekly: keptWithin('week'),
      withinMonthly: keptWithin('month'),
      withinYearly: keptWithin('year'),
      manual: key(duration(), { description: 'How long manual and guard snapshots are kept.', default: defaults.retention.manual }),
      tags: key(texts('a tag'), { description: 'Snapshots with one of these tags are kept for ever; `a,b` means both.' }),
      brake: key(brake(), { description: 'When a snapshot looks wrong, so that it must not push out others.' }),
    },
    mapping('how many snapshots are kept'),
  );

const objectives = () =>
  z.strictObject(
    {
      rpo: key(duration(), { description: 'Recovery point objective: how much may be lost.', default: defaults.objectives.rpo }),
      rto: key(duration(), { description: 'Recovery time objective: how long recovery may take.', default: defaults.objectives.rto }),
    },
    mapping('`rpo` and `rto`'),
  );

const source = z.strictObject(
  {
    directory: key(text('the path of a directory'), { description: 'A directory; relative to this file.' }),
    docker: key(name(), { description: 'The name of a Docker volume.' }),
    pvc: key(
      z
        .string({ error: 'a claim as `namespace/name`' })
        .check(z.regex(/^[a-z0-9][a-z0-9-]*\/[a-z0-9][a-z0-9.-]*$/, 'a claim as `namespace/name`')),
      { description: 'A PersistentVolumeClaim as namespace/name.' },
    ),
  },
  mapping('`directory`, `docker` or `pvc`'),
);

const volume = z.strictObject(
  {
    path: key(text('a path'), { description: 'Where the application mounts the volume.' }),
    size: key(size(), { description: 'The planned size: 50Gi, 500M.' }),
    criticality: key(z.enum(['critical', 'moderate', 'low']), {
      description: 'How bad its loss is; moderate can be rebuilt.',
      default: defaults.volume.criticality,
    }),
    sensitive: key(truth(), { description: 'Holds credentials or the like.', default: defaults.volume.sensitive }),
    app: key(z.enum(['auto', ...knownApps]), {
      description: 'The application that keeps it; its own tool makes a consistent dump. auto: as its image or its files tell.',
    }),
    cut: key(z.enum(['auto', 'live', 'pause', 'stop', 'dump']), {
      description: 'How it is read while containers use it; auto: as what runs suggests.',
      default: defaults.volume.cut,
    }),
    source: key(source, { description: 'Where the data is; found by name when left out.' }),
    ...exclusion,
    retention: key(retention(), { description: "What differs from the project's retention." }),
    objectives: key(objectives(), { description: "What differs from the project's objectives." }),
  },
  mapping("the volume's settings, or nothing"),
);

const optionExpectation = 'text, a number, `true` or `false`';
const optionValue = () => z.union([z.string(), z.number(), z.boolean()], { error: optionExpectation });
const connectionsExpectation = 'a whole number from 1 to 64';

const commandExpectation = 'a shell command, or a list of a program and its arguments';
const repository = z.strictObject(
  {
    url: required(text('a path or URL'), 'A directory (relative to this file), or s3:, rest:, sftp: or rclone: and the rest.'),
    passwordFile: key(text('the path of a file'), {
      description: 'The file that holds the password; relative to this file.',
      default: defaults.passwordFile,
    }),
    passwordCommand: key(
      z.union([text(commandExpectation), z.array(text('a word')).check(z.minLength(1, commandExpectation))], { error: commandExpectation }),
      {
        description: 'A command that prints the password, instead of the file.',
      },
    ),
    options: key(z.record(z.string(), optionValue(), { error: 'a mapping of names of options to their values' }), {
      description: 'Settings of the kind of storage: region, endpoint, clientCertificate and so on.',
    }),
    limits: key(
      z.strictObject(
        {
          upload: key(rate(), { description: 'So much is sent a second at most: 10M.' }),
          download: key(rate(), { description: 'So much is fetched a second at most: 50M.' }),
        },
        mapping('`upload` and `download`'),
      ),
      { description: 'Bandwidth limits.' },
    ),
    connections: key(z.int({ error: connectionsExpectation }).check(z.gte(1, connectionsExpectation), z.lte(64, connectionsExpectation)), {
      description: 'How many requests are under way at the same time, a thread; the kind of storage knows a default.',
    }),
    maintenance: key(truth(), {
      description: 'Whether `holdfast up` forgets, prunes and checks here; not where its credentials cannot delete.',
      default: defaults.repository.maintenance,
    }),
    cache: key(truth(), {
      description: 'Whether metadata of a remote repository is cached on this host.',
      default: defaults.repository.cache,
    }),
  },
  mapping('`url`, and `passwordFile` or `passwordCommand`'),
);

const hooks = () =>
  z.array(
    z.strictObject(
      {
        run: required(
          z.union([text(commandExpectation), z.array(text('a word')).check(z.minLength(1, commandExpectation))], {
            error: commandExpectation,
          }),
          'A shell command, or a program and its arguments.',
        ),
        in: key(text('the name of a service or container'), {
          description: 'The service or container to run it in; on this host without.',
        }),
        user: key(text('a user'), { description: 'As whom, in a container.' }),
        timeout: key(timeout(), { description: 'It fails when it takes longer.', default: defaults.hookTimeout }),
      },
      mapping('`run`, and `in`, `user`, `timeout`'),
    ),
    { error: 'a list of commands' },
  );

export const fileSchema = z.strictObject(
  {
    project: key(name(), { description: 'The name of the project; the name of the folder when left out.' }),
    volumes: required(
      named(z.nullable(volume), 'a mapping of volume names to their settings'),
      'The volumes by name; a volume without settings takes the defaults.',
    ),
    repositories: key(named(repository, 'a mapping of repository names to their settings'), {
      description: 'Where snapshots live. The first is used when none is named.',
      default: defaults.repositories,
    }),
    schedules: key(named(schedule, 'a mapping of schedule names to their settings'), {
      description: 'When snapshots are taken and copied.',
      default: defaults.schedules,
    }),
    hooks: key(
      z.strictObject(
        {
          before: key(hooks(), { description: 'Before anything is read or halted; a failure ends the backup.' }),
          after: key(hooks(), { description: 'When all containers are back, whatever happened.' }),
          onError: key(hooks(), { description: 'When something failed; before those of `after`.' }),
        },
        mapping('`before`, `after` and `onError`'),
      ),
      { description: 'Commands around every backup.' },
    ),
    retention: key(retention(), { description: 'Which snapshots are kept.' }),
    objectives: key(objectives(), { description: 'What the backups are measured against.' }),
    drills: key(drills, { description: 'Rehearsed restores.' }),
    maintenance: key(maintenance, {
      description: 'What `holdfast up` does for the repositories and knows of the volumes, beside backups.',
    }),
    notifications: key(named(notification, 'a mapping of names to how somebody is told'), {
      description: 'Who is told of what is wrong, and how.',
    }),
    daemon: key(daemon, { description: 'How `holdfast up` runs.' }),
    ...exclusion,
  },
  mapping('`project`, `volumes`, `repositories` and so on'),
);

/** The file as written, once it has passed. */
export type ConfigurationFile = z.infer<typeof fileSchema>;
