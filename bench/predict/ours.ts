/** Our side of the prediction benchmark, in a process of its own. */
import { createRandom } from '../../lib/base/random.ts';
import { FrozenProgram } from '../../lib/distill/frozen-program.ts';
import { StepProgram } from '../../lib/distill/step-program.ts';
import { initialParameters, initialStatistics } from '../../lib/model/parameters.ts';
import { answerRequests } from '../answer.ts';
import { modelOf } from '../step/cases.ts';

await answerRequests((request) => {
  const { size, batch, mode } = request;
  const model = modelOf(request);
  const preprocessing = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
  const spec = { model, preprocessing, training: null, predictBatchSizes: [batch] };
  const program = mode === 'frozen' ? new FrozenProgram(spec) : new StepProgram(spec);
  program.write('parameters', initialParameters(model, 1));
  program.write('statistics', initialStatistics(model));
  const random = createRandom(1);
  const images = Float32Array.from({ length: batch * size * size * 3 }, () => 255 * random.nextFloat());
  return {
    parameters: model.parameterCount,
    step: () => program.predict(images, batch),
    close: () => program.close(),
  };
});
