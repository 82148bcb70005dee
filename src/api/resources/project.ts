import type { VolumeAssessment } from '../../control/objectives/assessment.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { AnswerOf } from '../contract/operations.ts';
import type { JsonHandler, Served } from './handlers.ts';
import { pageOfList } from './paging.ts';

/** The project, its volumes and repositories, as they were assessed. */

export const getProject: JsonHandler<'getProject'> = ({ plane }) => {
  const { project, volumes, repositories } = plane.configuration();
  return {
    project,
    version: plane.version,
    startedMs: plane.startedMs,
    volumes: volumes.map(({ name }) => name),
    repositories: repositories.map(({ name }) => name),
    upcoming: plane.upcoming(),
  };
};

export const getStatus: JsonHandler<'getStatus'> = ({ plane }) => plane.assess();

export const listVolumes: JsonHandler<'listVolumes'> = ({ plane }, { query }) => pageOfList(plane.assess().volumes, query);

export const getVolume: JsonHandler<'getVolume'> = ({ plane }, { parameters }) => volumeOf(plane, parameters.volume);

export const listUsage: JsonHandler<'listUsage'> = ({ plane }, { parameters, query }) => {
  volumeOf(plane, parameters.volume);
  return pageOfList(plane.usage.list(parameters.volume, query.sinceMs ?? 0), query);
};

/** By the volumes of an assessment, which are the same until something changes. */
const objectives = new WeakMap<readonly VolumeAssessment[], AnswerOf<'listObjectives'>['items']>();

export const listObjectives: JsonHandler<'listObjectives'> = ({ plane }, { query }) => {
  const { volumes } = plane.assess();
  const all =
    objectives.get(volumes) ?? volumes.map(({ volume, condition, rpo, rto, reasons }) => ({ volume, condition, rpo, rto, reasons }));
  objectives.set(volumes, all);
  return pageOfList(all, query);
};

export const listRepositories: JsonHandler<'listRepositories'> = ({ plane }, { query }) => pageOfList(plane.assess().repositories, query);

function volumeOf(plane: Served['plane'], name: string): VolumeAssessment {
  const found = plane.assess().volumes.find(({ volume }) => volume === name);
  if (found === undefined) throw new HoldfastError('unknown-volume', `there is no volume ${JSON.stringify(name)}`, { volume: name });
  return found;
}
