import type { UsageMeasurement } from '../state/log-tables.ts';

/** A line of `holdfast volumes --json`, as far as it tells how full a volume is. */
type VolumeLine = { volume: string; usedBytes?: number; files?: number; sizeBytes?: number; freeBytes?: number };

/** What the lines of a usage job measured. */
export function usageOf(lines: Iterable<{ line: string }>, atMs: number): UsageMeasurement[] {
  const measured: UsageMeasurement[] = [];
  for (const { line: text } of lines) {
    const line = JSON.parse(text) as Partial<VolumeLine>;
    if (line.volume === undefined || line.usedBytes === undefined) continue;
    const { volume, usedBytes: bytes, files, sizeBytes, freeBytes } = line;
    const room = freeBytes === undefined ? undefined : bytes + freeBytes;
    const capacityBytes = sizeBytes === undefined || room === undefined ? (sizeBytes ?? room) : Math.min(sizeBytes, room);
    measured.push({ volume, atMs, bytes, files, capacityBytes });
  }
  return measured;
}
