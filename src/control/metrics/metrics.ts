import { Counter, Histogram, Registry } from 'prom-client';
import type { ControlEvent, ControlPlane } from '../control-plane.ts';
import { isOver, type Job, jobKinds, jobStates } from '../jobs/job.ts';
import { metrics as definitions, type MetricDefinition, type MetricOf } from './definitions.ts';
import { renderGauges } from './exposition.ts';
import { type Sample, samplesOf } from './samples.ts';

export type Metrics = {
  /** The Prometheus text format, https://prometheus.io/docs/instrumenting/exposition_formats. What is known when it is called. */
  render(): Promise<{ contentType: string; body: string }>;
};

/** A second to half a day: jobs are anything from a listing to a first backup. */
const durationBuckets = [1, 5, 15, 60, 300, 900, 3_600, 14_400, 43_200];

const all = new WeakMap<ControlPlane, Metrics>();

/** The metrics of a daemon, always the same: counters count from the first call on, so that it is to be made before jobs are. */
export function metricsOf(plane: ControlPlane): Metrics {
  const metrics = all.get(plane) ?? createMetrics(plane);
  all.set(plane, metrics);
  return metrics;
}

/** What `/metrics` answers. */
export const renderMetrics = (plane: ControlPlane): Promise<{ contentType: string; body: string }> => metricsOf(plane).render();

function createMetrics(plane: ControlPlane): Metrics {
  const registry = new Registry();
  const { counters, histograms } = register(registry);
  const known = () => new Set(plane.configuration().volumes.map(({ name }) => name));
  const counted = new Set<string>();

  // From zero on, so that the first one is an increase.
  for (const kind of jobKinds)
    for (const result of jobStates) if (isOver(result)) counters.holdfast_jobs_ended_total.inc({ kind, result }, 0);
  let read = { accepted: true, atMs: plane.startedMs };

  const countJob = ({ spec: { kind }, state, startedMs, endedMs, result }: Job): void => {
    counters.holdfast_jobs_ended_total.inc({ kind, result: state });
    if (startedMs !== undefined && endedMs !== undefined)
      histograms.holdfast_job_duration_seconds.observe({ kind }, Math.max(0, endedMs - startedMs) / 1_000);
    const volumes = known();
    for (const { volume, addedBytes, downtimeMs } of result?.snapshots ?? []) {
      if (!volumes.has(volume)) continue;
      counted.add(volume);
      counters.holdfast_backup_added_bytes_total.inc({ volume }, addedBytes);
      counters.holdfast_backup_downtime_seconds_total.inc({ volume }, (downtimeMs ?? 0) / 1_000);
    }
  };

  const forgetRemovedVolumes = (): void => {
    const volumes = known();
    for (const volume of counted) {
      if (volumes.has(volume)) continue;
      counted.delete(volume);
      counters.holdfast_backup_added_bytes_total.remove({ volume });
      counters.holdfast_backup_downtime_seconds_total.remove({ volume });
    }
  };

  plane.subscribe((event: ControlEvent) => {
    if (event.event === 'job' && isOver(event.job.state)) countJob(event.job);
    if (event.event === 'configuration') {
      read = { accepted: event.accepted, atMs: Date.now() };
      forgetRemovedVolumes();
    }
  });

  const configured = (): Sample[] => [
    ['holdfast_configuration_accepted', Number(read.accepted)],
    ['holdfast_configuration_timestamp_seconds', read.atMs / 1_000],
  ];

  const countProcessor = (): void => {
    const { user, system } = process.cpuUsage();
    counters.process_cpu_seconds_total.reset();
    counters.process_cpu_seconds_total.inc((user + system) / 1e6);
  };

  return {
    async render() {
      const labels = { project: plane.configuration().project };
      countProcessor();
      registry.setDefaultLabels(labels);
      const gauges = renderGauges([...samplesOf(plane), ...configured()], labels);
      return { contentType: registry.contentType, body: gauges + (await registry.metrics()) };
    },
  };
}

type Registered = {
  counters: Record<MetricOf<'counter'>, Counter>;
  histograms: Record<MetricOf<'histogram'>, Histogram>;
};

function register(registry: Registry): Registered {
  const made = { counter: {} as Record<string, unknown>, histogram: {} as Record<string, unknown> };
  for (const [name, { type, help, labels }] of Object.entries<MetricDefinition>(definitions)) {
    const of = { name, help, labelNames: [...labels], registers: [registry] };
    if (type === 'counter') made.counter[name] = new Counter(of);
    if (type === 'histogram') made.histogram[name] = new Histogram({ ...of, buckets: durationBuckets });
  }
  return { counters: made.counter, histograms: made.histogram } as Registered;
}
