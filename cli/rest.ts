/** One call of the router's REST endpoint (Open Inference Protocol v2), as any HTTP client would make it. */
import { z } from 'zod';
import { StillhouseError } from '../lib/base/errors.ts';
import type { TestImage } from './job-input.ts';
import type { SampleAnswer } from './report.ts';

const TIMEOUT_MS = 15_000;

const answerSchema = z.object({
  outputs: z.array(z.object({ name: z.string(), data: z.array(z.union([z.string(), z.number()])) })),
});

/** @param http base address, `http://host:port`. Throws UNAVAILABLE or what the router answered. */
export async function askRouter(
  http: string,
  route: string,
  image: TestImage,
  signal: AbortSignal,
): Promise<SampleAnswer> {
  const url = `${http}/v2/models/${encodeURIComponent(route)}/infer`;
  const shape = [1, image.height, image.width, 3];
  const body = JSON.stringify({
    inputs: [{ name: 'image', datatype: 'UINT8', shape, data: Array.from(image.pixels) }],
  });
  const answer = answerSchema.safeParse(await post(url, body, signal));
  if (!answer.success) throw new StillhouseError('DATA_LOSS', `POST ${url} answered no inference response`);
  const output = (name: string) => answer.data.outputs.find((tensor) => tensor.name === name)?.data[0];
  return {
    sampleId: image.sampleId,
    label: image.label,
    predicted: String(output('label') ?? ''),
    probability: Number(output('probability')),
    specialist: String(output('specialist') ?? ''),
  };
}

async function post(url: string, body: string, signal: AbortSignal): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw new StillhouseError('UNAVAILABLE', `POST ${url} failed`, { cause: error });
  }
  const text = await response.text();
  if (response.ok) return JSON.parse(text);
  throw new StillhouseError('UNAVAILABLE', `POST ${url} answered ${response.status}: ${text.slice(0, 500)}`);
}
