import type { Configuration } from '../control/configuration/configuration.ts';
import { createJsonLog, type Log, type Severity } from '../control/logging/log.ts';
import { createRedactor } from '../control/redact-lines.ts';
import { redactUrls } from '../model/redact-url.ts';
import type { CommandContext } from './command.ts';
import { createStyle, displayText } from './output/text.ts';
import { systemClock } from './system-clock.ts';
import { packageVersion } from './version.ts';

/**
 * The log of a daemon: JSON lines on stdout with `--json`, on stderr where that is no terminal, and text for people on a terminal. With
 * `--quiet` warnings and errors only, with `--verbose` everything. Holds no secrets of the environment and no passwords of URLs.
 */
export function daemonLog({ global, stdout, stderr, environment }: CommandContext, { project }: Configuration): Log {
  const redactEnvironment = createRedactor(environment);
  const redact = (text: string) => redactUrls(redactEnvironment(text));
  const least: Severity = global.quiet ? 'warn' : global.verbose ? 'debug' : 'info';
  const now = () => systemClock.now();
  if (global.json || stderr.isTTY !== true) {
    const sink = global.json ? stdout : stderr;
    const resource = { 'service.name': 'holdfast', 'service.version': packageVersion(), 'holdfast.project': project };
    return createJsonLog({ write: (line) => sink.write(line), redact, least, resource, now });
  }
  const order: readonly Severity[] = ['debug', 'info', 'warn', 'error'];
  const style = createStyle(global.color && (environment.NO_COLOR ?? '') === '');
  const paint = { debug: style.dim, info: (text: string) => text, warn: style.warning, error: style.bad };
  return ({ severity, body }) => {
    if (order.indexOf(severity) < order.indexOf(least)) return;
    const time = now().toTimeString().slice(0, 8);
    stderr.write(`${style.dim(time)} ${paint[severity](displayText(redact(body)))}\n`);
  };
}
