/** Text as people and programs write it, from a seed: words, source code, logs, documents. */
import type { Random } from '../../bench/random.ts';

const words =
  'account address amount archive basket batch branch bucket cache cart catalog change check client commit config contract country currency customer date deploy detail draft entry error event export feature field file filter folder format global group handler header history import index invoice issue item journal label language ledger limit list locale log market member merge message metric module network note number object offer option order owner package parcel parser partner payment period person plan policy price product profile project quota query queue rate receipt record refund region release report request result review role route rule schedule schema scope search secret section segment service session setting shipment signal source stage state stock store stream string summary supplier table tag target task tax team template ticket token topic total trace transfer unit update user value version view voucher warehouse webhook window worker zone'.split(
    ' ',
  );

/** Some words are common and most are rare, as in any language. */
export const word = (random: Random): string => words[Math.floor(words.length * random.fraction() ** 2)] as string;

export const sentence = (random: Random, length = 6 + random.below(10)): string => Array.from({ length }, () => word(random)).join(' ');

export const hex = (random: Random, digits: number): string =>
  Array.from({ length: Math.ceil(digits / 8) }, () => random.uint32().toString(16).padStart(8, '0'))
    .join('')
    .slice(0, digits);

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** A module of a TypeScript program. */
export function sourceFile(random: Random): string {
  const name = word(random);
  const parts = [`import { ${word(random)} } from './${word(random)}.ts';\n`];
  for (let count = 2 + random.below(8); count > 0; count--) {
    const [verb, noun, input] = [word(random), capital(word(random)), word(random)];
    parts.push(
      `/** ${capital(sentence(random))}. */\nexport function ${verb}${noun}${random.below(100)}(${input}: ${capital(name)}): ${noun} {`,
      `  const ${name} = ${input}.${word(random)}.filter((${word(random)}) => ${random.below(1000)} > ${input}.${word(random)});`,
      `  if (${name}.length === 0) throw new Error('${sentence(random, 5)}');`,
      `  return { ${word(random)}: ${name}, ${word(random)}: '${hex(random, 12)}' };\n}\n`,
    );
  }
  return parts.join('\n');
}

/** A line of a log in JSON, `number` steps of about 40 s after the log's first. */
function logLine(random: Random, number: number): string {
  const time = new Date(Date.UTC(2026, 0, 5) + number * 40_000 + random.below(40_000)).toISOString();
  return `${JSON.stringify({ time, level: random.below(20) === 0 ? 'warn' : 'info', task: hex(random, 12), message: sentence(random), durationMs: random.below(90_000) })}\n`;
}

export const logLines = (random: Random, first: number, count: number): string =>
  Array.from({ length: count }, (_, index) => logLine(random, first + index)).join('');
