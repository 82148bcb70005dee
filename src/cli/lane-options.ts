import { HoldfastError } from '../model/errors.ts';

const mostLanes = 64;

/** The value of `--lanes`: undefined when it wasn't given. @throws `usage`. */
export function parseLanes(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const lanes = Number(text);
  if (Number.isInteger(lanes) && lanes >= 1 && lanes <= mostLanes) return lanes;
  throw new HoldfastError('usage', `--lanes takes a whole number from 1 to ${mostLanes}, not ${JSON.stringify(text)}`);
}
