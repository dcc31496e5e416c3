/** The student-worker: trains students, or with `--serve` serves specialists. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { runProcess } from '../../lib/base/process.ts';
import { runSpecialist } from './serve-main.ts';
import { runStudent } from './train-main.ts';

const [mode, ...rest] = process.argv.slice(2);

await runProcess(mode === '--serve' ? 'specialist' : 'student-worker', (context) => {
  if (mode === '--serve' && rest.length === 0) return runSpecialist(context);
  if (mode === undefined) return runStudent(context);
  throw new StillhouseError('INVALID_ARGUMENT', `unknown argument "${process.argv.slice(2).join(' ')}"`, {
    hint: 'without arguments it trains, with --serve it serves specialists',
  });
});
