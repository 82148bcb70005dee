import * as z from 'zod/mini';
import { fileSchema } from './schema.ts';

/** The schema of `holdfast.yaml` for editors, as JSON Schema 2020-12. */
export function configurationJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(fileSchema, { io: 'input', unrepresentable: 'any' }) as Record<string, unknown>;
  return { ...schema, title: 'holdfast.yaml', description: 'The volumes of one application, and how they are kept safe.' };
}
