/** Loggers for code under test. */
import { createLogger, type Logger, type LogLevel } from '../../lib/base/log.ts';

export const silent = createLogger('test', 'silent');

/** Silent unless STILLHOUSE_LOG_LEVEL is set. */
export function testLogger(): Logger {
  return createLogger('test', (process.env.STILLHOUSE_LOG_LEVEL ?? 'silent') as LogLevel);
}
