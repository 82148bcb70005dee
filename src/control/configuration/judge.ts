import type { Mistake } from './mistakes.ts';
import { referenceMistakes } from './reference-mistakes.ts';
import { schemaMistakes } from './schema-mistakes.ts';
import type { LocatedValue } from './yaml-document.ts';

/** All that is wrong with what a `holdfast.yaml` says; its syntax has been judged before. A value without mistakes is a `ConfigurationFile`. */
export const judge = (document: LocatedValue, file: string): Mistake[] => [
  ...schemaMistakes(document),
  ...referenceMistakes(document, file),
];
