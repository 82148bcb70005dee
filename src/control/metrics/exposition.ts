import { type MetricDefinition, metrics } from './definitions.ts';
import type { Sample } from './samples.ts';

const gauges = Object.entries<MetricDefinition>(metrics).filter(([, { type }]) => type === 'gauge');

/**
 * Gauges in Prometheus's text format, https://prometheus.io/docs/instrumenting/exposition_formats. A client library keeps a value for each set of
 * labels between scrapes, which for tens of thousands that are new each time takes longer than all the rest.
 * @param common labels of every sample.
 */
export function renderGauges(samples: Iterable<Sample>, common: Readonly<Record<string, string>>): string {
  const texts = new Map<string, string>();
  const rest = labelsText(common);
  let [labelled, text]: [Sample[2], string] = [undefined, rest];
  for (const [name, value, labels] of samples) {
    if (value === undefined) continue;
    // All of a volume have the same.
    if (labels !== labelled) [labelled, text] = [labels, [labelsText(labels ?? {}), rest].filter(Boolean).join()];
    texts.set(name, `${texts.get(name) ?? ''}${name}${text === '' ? '' : `{${text}}`} ${value}\n`);
  }
  return gauges.map(([name, { help }]) => `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} gauge\n${texts.get(name) ?? ''}`).join('');
}

const labelsText = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${escapeLabel(value)}"`)
    .join();

const escapeHelp = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
const escapeLabel = (value: string): string => (/["\\\n]/.test(value) ? escapeHelp(value).replaceAll('"', '\\"') : value);
