import { parseDuration, parseSize } from '../../model/quantities.ts';

/** Quantities of a file that the schema has accepted. */

export const milliseconds = (text: string): number => parseDuration(text) as number;

export const bytesOf = (size: string | number | undefined): number | undefined => (typeof size === 'string' ? parseSize(size) : size);
