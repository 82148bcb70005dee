import * as z from 'zod/mini';
import { fileSchema } from './schema.ts';
import { namePattern } from './schema-parts.ts';

/** The schema of `holdfast.yaml` for editors, as JSON Schema 2020-12. */
export function configurationJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(fileSchema, {
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      // All mappings of names are open ones; the names are checked apart from the schema.
      if (zodSchema._zod.def.type === 'record') jsonSchema.propertyNames = { pattern: namePattern.source };
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    },
  });
  return { ...schema, title: 'holdfast.yaml', description: 'The volumes of one application, and how they are kept safe.' };
}
