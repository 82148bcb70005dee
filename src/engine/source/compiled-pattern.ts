/** One exclude pattern, compiled, whatever its dialect. */
export type CompiledPattern = {
  /** Takes back what earlier rules excluded. */
  negated: boolean;
  directoriesOnly: boolean;
  /** What is compared: the entry's name, or its path from the volume's root (without a leading slash). */
  subject: 'name' | 'path';
  /** The whole subject, when the pattern has no wildcards. */
  literal: string | undefined;
  /** Otherwise a RegExp source (flag `u`) with its anchors. */
  source: string;
};
