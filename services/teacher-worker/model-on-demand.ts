/** A teacher's model that takes memory and time to compile only where something is left to compute. */
import type { TeacherModel } from '../../lib/wire/teachers/open-teacher.ts';

export class ModelOnDemand {
  readonly #open: () => Promise<TeacherModel>;
  #model: Promise<TeacherModel> | undefined;

  constructor(open: () => Promise<TeacherModel>) {
    this.#open = open;
  }

  /** A model that could not be opened is opened anew when it is needed the next time: its server may be back. */
  get(): Promise<TeacherModel> {
    if (this.#model !== undefined) return this.#model;
    const model = this.#open();
    this.#model = model;
    model.catch(() => {
      if (this.#model === model) this.#model = undefined;
    });
    return model;
  }

  async close(): Promise<void> {
    // That it could not be opened has been told to whoever asked for it.
    await this.#model?.then(
      (model) => model.close(),
      () => undefined,
    );
  }
}
