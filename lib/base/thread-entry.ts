/** Threads that run a module of ours. */
import { extname } from 'node:path';

/** What a `Worker` is given. Where TypeScript is run from its sources, a thread has to register the loader for itself. */
export function threadEntry(module: URL): URL {
  if (extname(module.pathname) !== '.ts') return module;
  const loader = import.meta.resolve('tsx/esm/api');
  const code = `import { register } from '${loader}'; register(); await import('${module.href}');`;
  return new URL(`data:text/javascript,${encodeURIComponent(code)}`);
}
