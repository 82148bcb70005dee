import { tryParseTime } from '../../format/time.ts';

/**
 * The time of the newest snapshot of an exported archive, in milliseconds since 1970, by what its first file says; undefined when that says
 * nothing that makes sense: anybody may have written it.
 */
export function exportedTime(exportFile: string, nowMs: number): number | undefined {
  let newest: number | undefined;
  for (const time of timesIn(exportFile)) {
    const instant = typeof time === 'string' ? tryParseTime(time) : undefined;
    const ms = instant && instant.sec * 1000 + Math.floor(instant.nsec / 1e6);
    if (ms !== undefined && ms <= nowMs && ms > (newest ?? Number.NEGATIVE_INFINITY)) newest = ms;
  }
  return newest;
}

function timesIn(exportFile: string): unknown[] {
  try {
    const { format, volumes } = JSON.parse(exportFile);
    return format === 'holdfast-export' && Array.isArray(volumes) ? volumes.map((volume) => volume?.time) : [];
  } catch {
    return [];
  }
}
