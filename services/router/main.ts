/** The router's process. */
import { runProcess } from '../../lib/base/process.ts';
import { runRouter } from './run.ts';

await runProcess('router', runRouter);
