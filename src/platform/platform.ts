/** The contract of a platform: where volumes live, what uses them, and how they are read. */

/** How a volume is named in the configuration; the platform finds what it means. */
export type VolumeReference = {
  name: string;
  project: string;
  source:
    | { kind: 'by-name' }
    | { kind: 'directory'; directory: string }
    | { kind: 'docker'; volume: string }
    | { kind: 'pvc'; namespace: string; claim: string };
};

/** A volume that was found, and that this process reaches as a directory. */
export type LocatedVolume = {
  name: string;
  /** Absolute path of the directory that holds its content. */
  directory: string;
  /** False when the directory isn't there (a restore makes it, a backup fails). */
  exists: boolean;
};

/**
 * A volume's content, to be read. As a directory where this process reaches one; else as a tar stream, whose entries lie below `./`, the
 * first of them being the volume's root.
 */
export type VolumeContent =
  | { way: 'directory'; directory: string }
  | {
      way: 'helper' | 'container';
      /** Where the platform keeps it, for people and for the snapshot's path. */
      directory: string;
      /** What the stream comes from, for people: `a helper container`, `container web`. */
      through: string;
      /** Begins to read; once. @throws `engine`, `engine-unreachable`. */
      read(signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
      /** Paths below the volume's root, without leading slash, at which something else is mounted: their content isn't the volume's. */
      mountedInside: readonly string[];
      /** Removes what was made for reading. Harmless when called twice, or without reading. */
      close(): Promise<void>;
    };

export interface Platform {
  /**
   * Where a volume's directory is, for those who need one (a restore).
   * @throws `volume-missing` when the platform doesn't know where such a volume would be; `volume-unreadable` when it is there and this process
   * cannot reach its directory.
   */
  locate(reference: VolumeReference): Promise<LocatedVolume>;
  /** The best way to read a volume. @throws as `locate`; `volume-missing` also when its directory isn't there. */
  open(reference: VolumeReference): Promise<VolumeContent>;
}

/** What a platform with an engine knows of all that it runs, read at once. */
export type Inventory = {
  volumes: PlatformVolume[];
  containers: PlatformContainer[];
  /** Directories and files of the host that containers mount; sockets and the system's own are left out. */
  bindMounts: BindMount[];
};

export type PlatformVolume = {
  /** The platform's name for it, such as `auto-claude_redis-data`. */
  name: string;
  /** Of Compose's labels: the project, and the volume's key in the compose file. */
  project: string | undefined;
  key: string | undefined;
  /** Without a name that anybody gave. */
  anonymous: boolean;
  driver: string;
  driverOptions: Readonly<Record<string, string>>;
  labels: Readonly<Record<string, string>>;
  /** Where the engine keeps it, on the engine's host; undefined when it doesn't say. */
  mountPoint: string | undefined;
  /** ISO 8601; undefined when the engine doesn't say. */
  createdAt: string | undefined;
  users: MountedBy[];
};

/** A container's mount, seen from what it mounts. */
export type MountedBy = { container: PlatformContainer; path: string; readOnly: boolean };

export type BindMount = { from: string; users: MountedBy[] };

export type ContainerState = 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';

export type PlatformContainer = {
  /** The whole id. */
  id: string;
  /** Without the leading slash. */
  name: string;
  image: string;
  state: ContainerState;
  /** Of Compose's labels. */
  project: string | undefined;
  service: string | undefined;
  /** Of Compose's labels (version 2 only): what it is started after. */
  dependsOn: { service: string; condition: string }[];
  labels: Readonly<Record<string, string>>;
  mounts: ContainerMount[];
};

export type ContainerMount = {
  kind: 'volume' | 'bind' | 'tmpfs' | 'other';
  /** The volume's name, or the host's path of a bind mount. */
  from: string;
  /** Absolute, in the container. */
  path: string;
  readOnly: boolean;
};
