import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../../test/properties.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from './quantities.ts';

test('durations of every unit', () => {
  const expected: Record<string, number> = {
    '250ms': 250,
    '90s': 90_000,
    '15m': 900_000,
    '1h': 3_600_000,
    '90d': 7_776_000_000,
    '2w': 1_209_600_000,
    '1y': 31_536_000_000,
    '1h30m': 5_400_000,
    '1.5h': 5_400_000,
    '0s': 0,
  };
  for (const [text, ms] of Object.entries(expected)) assert.equal(parseDuration(text), ms, text);
});

test('what is not a duration', () => {
  for (const text of ['', '1', 'h', '-1h', '1 h', '1H', '1mo', '1h ', '1.h', '1h30', 'one hour', '99999999999999y']) {
    assert.equal(parseDuration(text), undefined, text);
  }
});

test('sizes: binary and decimal units, as Kubernetes has them', () => {
  const expected: Record<string, number> = {
    '0': 0,
    '512': 512,
    '512B': 512,
    '500M': 500_000_000,
    '500MB': 500_000_000,
    '1k': 1000,
    '1K': 1000,
    '16MiB': 16_777_216,
    '50Gi': 53_687_091_200,
    '50 GiB': 53_687_091_200,
    '1.5Ki': 1536,
    '2Ti': 2_199_023_255_552,
    '1Pi': 1_125_899_906_842_624,
  };
  for (const [text, bytes] of Object.entries(expected)) assert.equal(parseSize(text), bytes, text);
});

test('what is not a size', () => {
  for (const text of ['', 'Gi', '-1Gi', '1gi', '1m', '1GIB', '1Gib', '1i', '50 Gi B', '1Gi ', '16Ei', 'Infinity', '0x10', '1e3']) {
    assert.equal(parseSize(text), undefined, text);
  }
});

test('durations are printed with two units', () => {
  const printed = [0, 350, 999, 1_000, 3_299, 9_999, 10_000, 59_999, 65_000, 3_600_000, 5_400_000, 86_399_999, 7_776_000_000].map(
    formatDuration,
  );
  assert.deepEqual(printed, ['0s', '350ms', '999ms', '1s', '3.2s', '9.9s', '10s', '59s', '1m5s', '1h', '1h30m', '23h59m', '90d']);
});

test('sizes are printed with three figures', () => {
  const printed = [0, 999, 1023, 1024, 1536, 1_048_575, 1_048_576, 1_567_663_063, 53_687_091_200].map(formatSize);
  assert.deepEqual(printed, ['0 B', '999 B', '1023 B', '1 KiB', '1.5 KiB', '1 MiB', '1 MiB', '1.46 GiB', '50 GiB']);
});

test('what is printed is read back, as near as its figures', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10 ** 13 }), (value) => {
      const duration = parseDuration(formatDuration(value)) as number;
      assert.ok(duration <= value && value - duration <= Math.max(100, value / 24));
      const size = parseSize(formatSize(value)) as number;
      assert.ok(Math.abs(size - value) <= value * 0.0051, `${value} ${formatSize(value)}`);
    }),
  );
});
