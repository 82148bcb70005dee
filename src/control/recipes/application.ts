/** Which application a container runs, as far as its image tells. Pure. */
import type { KnownApp } from '../configuration/configuration.ts';

/** Images by the last part of their names, whoever publishes them; the more special first. */
const images: readonly (readonly [RegExp, KnownApp])[] = [
  [/^(redis|valkey|keydb)\b(?!-(exporter|commander|insight|sentinel))/, 'redis'],
  [/^(postgres|postgresql|postgis|timescaledb|pgvector)\b(?!-(exporter|backup))/, 'postgres'],
  [/^mariadb\b(?!-(exporter|backup))/, 'mariadb'],
  [/^(mysql|percona)\b(?!-(exporter|backup))/, 'mysql'],
  [/^(mongo|mongodb)\b(?!-(exporter|express|backup))/, 'mongo'],
];

/** @param image as the engine names it: `redis:7-alpine`, `registry.example.com:5000/bitnami/redis@sha256:...`. */
export function applicationOfImage(image: string): KnownApp | undefined {
  const last = image.slice(image.lastIndexOf('/') + 1);
  return images.find(([pattern]) => pattern.test(last))?.[1];
}
