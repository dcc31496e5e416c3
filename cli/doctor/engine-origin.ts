/** Which of set-up's ways led to the engine that is there: what set-up has noted beside it. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { packageRoot } from '../paths.ts';

/** Beside the native binding. */
const bindingNote = z.object({ source: z.enum(['wheel', 'installer', 'existing']) });
/** In place of one. */
const fallbackNote = z.object({
  attempts: z.array(z.object({ way: z.string(), problem: z.string(), hint: z.string().optional() })),
});

export interface EngineOrigin {
  /** Of the native binding; null when set-up has not seen to one. */
  readonly source: z.infer<typeof bindingNote>['source'] | null;
  /** What set-up tried before it fell back to plain TensorFlow.js. */
  readonly attempts: z.infer<typeof fallbackNote>['attempts'];
}

export function readEngineOrigin(root = packageRoot()): EngineOrigin {
  const modules = path.join(root, 'node_modules');
  const binding = path.join(modules, '@tensorflow', 'tfjs-node-gpu', 'lib', 'napi-v8', 'tfjs_binding.node');
  const source = noteIn(`${binding}.stillhouse.json`, bindingNote)?.source ?? null;
  return { source, attempts: noteIn(path.join(modules, '.stillhouse-engine.json'), fallbackNote)?.attempts ?? [] };
}

/** A note that is not there, or of another version, says nothing. */
function noteIn<Schema extends z.ZodType>(file: string, schema: Schema): z.infer<Schema> | undefined {
  try {
    return schema.safeParse(JSON.parse(readFileSync(file, 'utf8'))).data;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
