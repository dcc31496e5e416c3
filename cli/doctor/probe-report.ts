/** What the engine probe, a process of its own, tells the doctor. */
import { z } from 'zod';

export const probeReportSchema = z.object({
  fingerprint: z.string(),
  /** From the start of the process to the end of each: TensorFlow loaded, the step compiled and verified. */
  loadedMs: z.number(),
  compiledMs: z.number(),
  /** Why the step runs eagerly; null when it is compiled. */
  eagerReason: z.string().nullable(),
  architecture: z.string(),
  microBatch: z.number(),
  /** Of a training step, gradients and update; the median. */
  stepMs: z.number(),
  predictBatch: z.number(),
  /** Of the prediction of such a batch; the median. */
  predictMs: z.number(),
  /** Of the whole process, TensorFlow in it, after the steps. */
  residentBytes: z.number(),
  /** Where TensorFlow was loaded from; null where the system does not tell. */
  library: z.string().nullable(),
});

export type ProbeReport = z.infer<typeof probeReportSchema>;
