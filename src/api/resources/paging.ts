import { HoldfastError } from '../../model/errors.ts';

export type Page<Item> = { items: Item[]; next?: string };

/** Pages of a list that were asked for: what is the same value is written once, and has the same ETag. */
const pages = new WeakMap<readonly unknown[], Map<string, Page<unknown>>>();
const mostRemembered = 32;

/** A page of a list that is at hand, and is never changed; the cursor counts what came before. */
export function pageOfList<Item>(all: readonly Item[], { limit, cursor }: { limit: number; cursor?: string }): Page<Item> {
  const from = numberCursor(cursor) ?? 0;
  const known = (pages.get(all) ?? new Map()) as Map<string, Page<Item>>;
  const key = `${from} ${limit}`;
  const page = known.get(key) ?? pageFrom(all, from, limit);
  if (known.size < mostRemembered) known.set(key, page);
  pages.set(all, known);
  return page;
}

function pageFrom<Item>(all: readonly Item[], from: number, limit: number): Page<Item> {
  const items = all.slice(from, from + limit);
  return from + limit < all.length ? { items, next: String(from + limit) } : { items };
}

export function numberCursor(cursor: string | undefined): number | undefined {
  if (cursor === undefined) return undefined;
  if (!/^\d{1,15}$/.test(cursor)) throw badCursor();
  return Number(cursor);
}

export type TimeCursor = { timeMs: number; key: string };

export function timeCursor(cursor: string | undefined): TimeCursor | undefined {
  if (cursor === undefined) return undefined;
  const [, timeMs, key] = /^(-?\d{1,15})\.([\w-]+)$/.exec(cursor) ?? [];
  if (key === undefined) throw badCursor();
  return { timeMs: Number(timeMs), key: fromCursor(key) };
}

export const timeCursorText = ({ timeMs, key }: TimeCursor): string => `${timeMs}.${toCursor(key)}`;

/** Names of runs, and of what alerts are about, hold what a cursor must not. */
export const toCursor = (key: string): string => Buffer.from(key).toString('base64url');
export const fromCursor = (cursor: string): string => Buffer.from(cursor, 'base64url').toString();

export const badCursor = () =>
  new HoldfastError('request-invalid', 'the cursor is none of this list', { remedy: 'use `next` of the page before' });
