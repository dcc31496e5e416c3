/**
 * Ends our process groups when we are gone without having done so ourselves (SIGKILL, out of memory): a shell that reads
 * their numbers from a pipe of ours, and the end of the pipe is the end of us.
 */
import { spawn } from 'node:child_process';

const SCRIPT = `
groups=' '
while read -r verb group; do
  case $verb in
    add) groups="$groups$group " ;;
    drop) groups="\${groups%% $group *} \${groups#* $group }" ;;
  esac
done
for group in $groups; do kill -KILL "-$group" 2>/dev/null; done
`;

let pipe;

/** From now on the group ends with us. */
export function guardGroup(pid) {
  pipe ??= startGuard();
  pipe.write(`add ${pid}\n`);
}

/** It has ended by itself. */
export function unguardGroup(pid) {
  pipe?.write(`drop ${pid}\n`);
}

function startGuard() {
  const guard = spawn('/bin/sh', ['-c', SCRIPT], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  // It is a safety net: without a shell, or when somebody has ended it, everything goes on as before.
  guard.on('error', () => undefined);
  guard.stdin.on('error', () => undefined);
  guard.unref();
  guard.stdin.unref();
  return guard.stdin;
}
