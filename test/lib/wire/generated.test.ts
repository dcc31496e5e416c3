import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import test from 'ava';

test('the committed types are those of the protos', (t) => {
  const script = fileURLToPath(new URL('../../../scripts/generate-types.mjs', import.meta.url));
  t.notThrows(() => execFileSync(process.execPath, [script, '--check'], { stdio: 'pipe' }));
});
