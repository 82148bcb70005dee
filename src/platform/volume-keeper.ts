/** The contract of an engine that keeps volumes, as far as restores and migrations change them. */

export type NewVolume = {
  name: string;
  driver: string;
  driverOptions: Readonly<Record<string, string>>;
  labels: Readonly<Record<string, string>>;
};

export interface VolumeKeeper {
  /**
   * Makes a volume. Harmless when one of that name, driver and options is there.
   * @returns where the engine keeps it, on the engine's host; undefined when it doesn't say.
   * @throws `engine`, `engine-unreachable`, `engine-denied`, as all of these do; `engine` also for one of that name and another driver.
   */
  create(volume: NewVolume): Promise<string | undefined>;
  /** Removes a volume with all that is in it. Harmless when there is none. @throws `engine` also while a container, running or not, mounts it. */
  remove(name: string): Promise<void>;
  /** The user that an image's programs run as, as `USER` says it; '' for root. Undefined when there is no such image. */
  userOfImage(image: string): Promise<string | undefined>;
}
