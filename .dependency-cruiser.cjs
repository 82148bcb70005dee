/** What may import what, and why. `npm run check:layers` checks it; test/frame/layers.test.ts proves that each rule bites. */

/** From the inside out: a layer imports only itself and those before it. */
const layers = ['model', 'format', 'storage', 'repository', 'engine', 'platform', 'control', 'api', 'cli'];

const tests = '[.]test[.]ts$|^test/';
const allTypeScript = '^(src|test|bench|scripts)/';

const upward = layers.slice(0, -1).map((layer, depth) => ({
  name: `${layer}-imports-upward`,
  severity: 'error',
  comment: `${layer} knows only ${['itself', ...layers.slice(0, depth)].join(', ')}: imports point one way, so that each layer can be read, tested and replaced without those above it.`,
  from: { path: `^src/${layer}/` },
  to: { path: `^src/(${layers.slice(depth + 1).join('|')})/` },
}));

/** A package that only some folders may import. */
const confined = (name, packages, folders, comment) => ({
  name,
  severity: 'error',
  comment,
  from: { path: allTypeScript, pathNot: folders },
  to: { path: `(^|node_modules/)(${packages})(/|$)` },
});

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...upward,
    {
      name: 'no-cycles',
      severity: 'error',
      comment: 'Files that import one another, be it for types, are one file in disguise: move what they share below both.',
      from: {},
      to: { circular: true },
    },
    {
      name: 'resolves',
      severity: 'error',
      comment: 'An import that leads nowhere is not seen by the other rules.',
      from: {},
      to: { couldNotResolve: true, pathNot: '^node:' },
    },
    {
      name: 'library-is-the-end',
      severity: 'error',
      comment: 'src/index.ts is for users of the library; inside, import the file that declares the thing.',
      from: { path: '^src/' },
      to: { path: '^src/index[.]ts$' },
    },
    {
      name: 'library-without-cli',
      severity: 'error',
      comment: 'A program that embeds Holdfast gets no command line.',
      from: { path: '^src/index[.]ts$' },
      to: { path: '^src/cli/' },
    },
    {
      name: 'product-without-tests',
      severity: 'error',
      comment: 'Production code does not lean on test helpers, benchmarks or build scripts.',
      from: { path: '^src/', pathNot: '[.]test[.]ts$' },
      to: { path: '^(test|bench|scripts)/|[.]test[.]ts$|[.-]reference[.]ts$' },
    },
    {
      name: 'storages-by-contract',
      severity: 'error',
      comment:
        'Take the contract, src/storage/storage.ts: which storage it is, and what it is wrapped in, is decided in one place, the command line (and by tests, benchmarks and users of the library).',
      from: { path: '^src/', pathNot: `^src/(cli|storage)/|^src/index[.]ts$|${tests}` },
      to: { path: '^src/storage/', pathNot: '^src/storage/storage[.]ts$' },
    },
    {
      name: 'platforms-by-contract',
      severity: 'error',
      comment:
        'Take the contract in src/platform/: which platform it is is decided in the command line (and by tests and users of the library).',
      from: { path: '^src/', pathNot: `^src/(cli|platform)/|^src/index[.]ts$|${tests}` },
      to: { path: '^src/platform/[^/]+/' },
    },
    {
      name: 'platforms-apart',
      severity: 'error',
      comment: 'A platform knows the contract, not its siblings.',
      from: { path: '^src/platform/([^/]+)/', pathNot: tests },
      to: { path: '^src/platform/[^/]+/', pathNot: '^src/platform/$1/' },
    },
    {
      name: 'web-by-api-contract',
      severity: 'error',
      comment: 'The dashboard is a client like any other: all it knows of the server is the contract of the API.',
      from: { path: '^web/' },
      to: { path: '^src/', pathNot: '^src/api/contract([.]ts$|/)' },
    },
    confined(
      'configuration-vendors',
      'zod|yaml',
      '^src/control/(configuration|discovery)/|^src/api/contract([.]ts$|/)|^(test|bench|scripts)/',
      'How a configuration is written and validated is the business of one folder; the rest takes plain values.',
    ),
    confined(
      'ffi-vendor',
      'koffi',
      '^src/format/kernel/|^src/engine/source/',
      'Foreign functions are declared where they can be audited: the kernels and the POSIX source.',
    ),
    confined('cipher-vendor', 'sodium-native', '^src/format/', 'Sealing is the format’s business; nothing else touches ciphers.'),
    confined(
      'http-vendor',
      'undici',
      '^src/storage/rest[^/]*$',
      'One storage speaks HTTP by itself; the others take the contract or their vendor.',
    ),
    confined(
      's3-vendor',
      '@aws-sdk',
      '^src/storage/s3[^/]*[.]ts$|^test/[^.]*s3[^/]*[.]ts$',
      'The SDK is large: it is loaded with the storage that needs it, and nowhere else.',
    ),
    confined(
      'docker-vendor',
      'dockerode|docker-modem',
      '^src/platform/docker/',
      'The Engine’s API is one platform’s business; others take the contract.',
    ),
    confined(
      'age-vendor',
      'age-encryption',
      '^src/engine/transfer/',
      'What leaves the repository for good is encrypted in one place; the repository itself has its own ciphers.',
    ),
    confined(
      'metrics-vendor',
      'prom-client',
      '^src/control/metrics/',
      'One folder knows how metrics are written; the rest gives it plain values.',
    ),
    confined(
      'properties-vendor',
      'fast-check',
      '^test/properties[.]ts$',
      'What properties are tried on is decided in one place, so that who runs the tests twice tries the same twice.',
    ),
    confined('log-vendor', 'pino', '^src/control/logging/', 'One folder decides the shape of log lines; the rest says what happened.'),
    confined(
      'api-vendor',
      'hono|@hono',
      '^src/api/',
      'How requests are routed is the business of the API; handlers and clients take the contract.',
    ),
    confined('mail-vendor', 'nodemailer', '^src/control/notify/', 'One kind of notification speaks SMTP, and loads it when it does.'),
    confined('command-line-vendor', 'commander', '^src/cli/', 'Only the command line parses a command line.'),
  ],
  options: {
    // swc reads TypeScript's type-only imports too, which count here; the TypeScript 7 of this project has no API for parsers yet.
    parser: 'swc',
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^src/format/kernel/assembly/|(^|/)[.]work/' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['types', 'import', 'node', 'default'],
    },
    reporterOptions: { text: { highlightFocused: true } },
  },
};
