/** Volumes of a Docker Engine: making and removing them. */
import type { VolumeKeeper } from '../volume-keeper.ts';
import { type DockerEngine, isNotFound } from './engine.ts';

export function createDockerVolumeKeeper(engine: DockerEngine): VolumeKeeper {
  const { docker } = engine;
  return {
    async create({ name, driver, driverOptions, labels }) {
      const options = { Name: name, Driver: driver, DriverOpts: { ...driverOptions }, Labels: { ...labels } };
      await engine.call(`make volume ${name}`, (abortSignal) => docker.createVolume({ ...options, abortSignal }));
      const { Mountpoint: mountPoint } = await engine.call(`inspect volume ${name}`, (abortSignal) =>
        docker.getVolume(name).inspect({ abortSignal }),
      );
      return mountPoint || undefined;
    },

    async remove(name) {
      try {
        await engine.call(`remove volume ${name}`, (abortSignal) => docker.getVolume(name).remove({ abortSignal }));
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    },

    async userOfImage(image) {
      try {
        const { Config: config } = await engine.call(`inspect image ${image}`, (abortSignal) =>
          docker.getImage(image).inspect({ abortSignal } as object),
        );
        return config.User ?? '';
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
  };
}
