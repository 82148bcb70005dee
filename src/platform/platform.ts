/** The contract of a platform: where volumes live. */

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

/** A volume that was found. */
export type LocatedVolume = {
  name: string;
  /** Absolute path of the directory that holds its content. */
  directory: string;
  /** False when the directory isn't there (a restore makes it, a backup fails). */
  exists: boolean;
};

export interface Platform {
  /** @throws `volume-missing` (a HoldfastError) when the platform doesn't know where such a volume would be. */
  locate(reference: VolumeReference): Promise<LocatedVolume>;
}
