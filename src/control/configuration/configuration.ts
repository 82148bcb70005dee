import type { RetentionPolicy } from '../../engine/maintenance/retention.ts';
import type { BrakeSettings } from '../../engine/maintenance/snapshot-evidence.ts';

/** What a `holdfast.yaml` says, resolved: every default filled in, paths absolute, durations in milliseconds, sizes in bytes. */
export type Configuration = {
  /** Absolute path of the file. */
  file: string;
  /** The copy in effect of it that was read instead; absolute. */
  copy?: string;
  /** The folder of the file, against which relative paths were resolved. */
  directory: string;
  project: string;
  /** In the order of the file; never empty, names unique. */
  volumes: VolumeConfiguration[];
  /** In the order of the file; never empty. The first is the one that commands use when none is named. */
  repositories: RepositoryConfiguration[];
  schedules: ScheduleConfiguration[];
  /** Commands around every backup. */
  hooks: Hooks;
  /** The project's; a volume's own is in the volume. */
  retention: RetentionConfiguration;
  /** The project's; a volume's own are in the volume. */
  objectives: Objectives;
  /** Undefined when drills are switched off. */
  drills: DrillConfiguration | undefined;
  maintenance: MaintenanceConfiguration;
  notifications: NotificationConfiguration[];
  daemon: DaemonConfiguration;
};

export type Criticality = 'critical' | 'moderate' | 'low';
/** Applications that Holdfast knows how to ask for a consistent copy. SQLite is a library: it is known by the files of a volume, not by an image. */
export const knownApps = ['redis', 'postgres', 'mysql', 'mariadb', 'mongo', 'sqlite'] as const;
export type KnownApp = (typeof knownApps)[number];

/**
 * How a volume that is in use is read: while everything runs, with the containers that write to it paused or stopped, or from what its
 * application's own tool writes out.
 */
export type CutWay = 'live' | 'pause' | 'stop' | 'dump';

/** A command around a backup. */
export type Hook = {
  /** Program and arguments. */
  command: string[];
  /** The service or container that it is run in; undefined: on this host. */
  in: string | undefined;
  /** As whom, in a container; undefined: whom its image names. */
  user: string | undefined;
  timeoutMs: number;
};

/** When hooks run: before anything is halted, when all is back whatever happened, and only (before those) when something failed. */
export type Hooks = { before: Hook[]; after: Hook[]; onError: Hook[] };

export type VolumeConfiguration = {
  name: string;
  /** Where the application mounts it; for people, and for platforms that create volumes. */
  path: string | undefined;
  sizeBytes: number | undefined;
  criticality: Criticality;
  sensitive: boolean;
  /** The application that keeps it, where neither its image nor its files are to tell; its own tool can dump the volume consistently. */
  app: KnownApp | undefined;
  /** `auto`: as what runs suggests. */
  cut: CutWay | 'auto';
  source: VolumeSource;
  /** gitignore-like patterns: the project's, then the volume's own, so that `!` of the volume can take back one of the project. */
  exclude: string[];
  /** Names of files whose presence excludes the folder that holds them. */
  excludeIfPresent: string[];
  /** Whether folders with a valid `CACHEDIR.TAG` are left out. */
  excludeCaches: boolean;
  oneFileSystem: boolean;
  retention: RetentionConfiguration;
  objectives: Objectives;
};

export type VolumeSource =
  /** Found by name on the platform at hand: Docker volume `PROJECT_NAME`, or claim `NAME` in the project's namespace. */
  | { kind: 'by-name' }
  /** Absolute path. */
  | { kind: 'directory'; directory: string }
  | { kind: 'docker'; volume: string }
  | { kind: 'pvc'; namespace: string; claim: string };

export type RepositoryConfiguration = {
  name: string;
  /** A local one is an absolute path; all others are `scheme:...` as written. May hold credentials: never print it as it is. */
  url: string;
  /** Exactly one of the two is set. The path is absolute. */
  passwordFile: string | undefined;
  /** Program and arguments; its first line of output is the password. */
  passwordCommand: string[] | undefined;
  /** Settings of the kind of storage, with `connections`. */
  options: Readonly<Record<string, string>>;
  limits: { uploadBytesPerSecond: number | undefined; downloadBytesPerSecond: number | undefined };
  /** Whether the daemon forgets, prunes and checks here. */
  maintenance: boolean;
  /** Whether metadata is cached on this host, where the storage is not local. */
  cache: boolean;
};

/** When something is done. */
export type When = {
  /** `every`: so long after the instant before, counted from 1970. */
  at:
    | { kind: 'cron'; cron: string /** IANA name; undefined means the machine's own. */; timeZone: string | undefined }
    | { kind: 'every'; everyMs: number };
  /** It begins by chance up to so much later. */
  jitterMs: number;
};

/** How hard something is tried. */
export type Effort = {
  /** 0 to 9; what waits with a higher number goes first. */
  priority: number;
  deadlineMs: number;
  attempts: number;
};

export type ScheduleConfiguration = When &
  Effort & {
    name: string;
    /** Names of repositories that exist in the same configuration; of a backup, volumes when not all. */
    action: { kind: 'backup'; to: string; volumes?: string[] } | { kind: 'copy'; from: string; to: string };
  };

/** What is done beside backups; undefined is switched off. */
export type MaintenanceConfiguration = {
  forget: (When & Effort) | undefined;
  /** `rereadMs`: in so much time all stored data is read once. */
  check: (When & Effort & { rereadMs: number }) | undefined;
  usage: (When & Effort) | undefined;
};

/** A time of day when no job begins. */
export type QuietHours = {
  /** Minutes since midnight. When the end is not after the begin, it is on the next day. */
  fromMinute: number;
  toMinute: number;
  /** 0 is Sunday; the days on which it begins. */
  days: number[];
  timeZone: string | undefined;
  /** Whether backups begin all the same. */
  backups: boolean;
};

export type DaemonConfiguration = {
  /** `HOST:PORT`, or an absolute path. */
  listen: string;
  /** Absolute paths. */
  tls: { certificate: string; key: string } | undefined;
  behindProxy: boolean;
  jobs: number;
  limits: { uploadBytesPerSecond: number | undefined; downloadBytesPerSecond: number | undefined };
  quietHours: QuietHours[];
  historyMs: number;
};

/** Which snapshots are kept, and when one looks so wrong that it must not push out others. */
export type RetentionConfiguration = RetentionPolicy & { brake: BrakeSettings };

export type Objectives = {
  /** Recovery point objective: how much may be lost. */
  rpoMs: number;
  /** Recovery time objective: how long recovery may take. */
  rtoMs: number;
};

export type DrillConfiguration = When & Effort;

export const notificationKinds = ['webhook', 'slack', 'discord', 'teams', 'ntfy', 'gotify', 'email', 'command', 'healthchecks'] as const;
export type NotificationKind = (typeof notificationKinds)[number];

/** What can be told. `recovered`: that something told before is over. */
export const notificationEvents = ['broken', 'at-risk', 'recovered', 'job-failed', 'configuration', 'digest'] as const;
export type NotificationEvent = (typeof notificationEvents)[number];

/** Where a secret is found, when it is needed. */
export type SecretSource = { kind: 'environment'; variable: string } | { kind: 'file' /** Absolute. */; path: string };

/** Where messages go. */
export type Destination =
  | { kind: 'webhook'; url: UrlSource; token: SecretSource | undefined; body: string | undefined; contentType: string }
  | { kind: 'slack' | 'discord' | 'teams'; url: UrlSource }
  | { kind: 'ntfy'; url: UrlSource; topic: string; token: SecretSource | undefined }
  | { kind: 'gotify'; url: UrlSource; token: SecretSource }
  | {
      kind: 'email';
      host: string;
      port: number;
      security: 'tls' | 'starttls' | 'none';
      /** Absolute path, PEM. */
      ca: string | undefined;
      login: { user: string; password: SecretSource } | undefined;
      from: string;
      to: string[];
    }
  | { kind: 'command'; command: string[] }
  /** Is pinged, and gets no messages. */
  | { kind: 'healthchecks'; url: UrlSource; watch: Watched; everyMs: number };
/** The daemon, the jobs of a schedule, or those of a kind, with a repository only those that are about it (of copies: into it). */
export type Watched =
  | { what: 'daemon' }
  | { what: 'schedule'; schedule: string }
  | { what: 'backup' | 'forget' | 'check' | 'copy' | 'drill' | 'usage'; repository: string | undefined };
export type UrlSource = { kind: 'plain'; url: string } | SecretSource;

/** Who is told of what is wrong, and how. */
export type NotificationConfiguration = {
  name: string;
  destination: Destination;
  on: NotificationEvent[];
  /** Of what concerns single volumes, only these; undefined: all. */
  volumes: string[] | undefined;
  criticality: Criticality[] | undefined;
  /** When nothing is sent. */
  quiet: QuietHours | undefined;
  digest: { cron: string; timeZone: string | undefined };
  /** How long an attempt may take. */
  timeoutMs: number;
};
