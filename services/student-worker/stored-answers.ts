/** What is stored of a teacher's answers, as a student would have got it from the teacher. */
import type { Logger } from '../../lib/base/log.ts';
import { type CachedLogits, LogitsCache } from '../../lib/checkpoint/logits-cache/cache.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { viewNumber } from '../../lib/data/views.ts';
import { type AnswerPath, answerFromStored } from '../../lib/distill/logits/answer.ts';
import { type ColumnsRequest, studentColumns } from '../../lib/distill/logits/columns.ts';
import { decodeRows, type LogitsFormat, type TeacherLogits } from '../../lib/distill/logits/format.ts';
import type { LogitsRequest } from '../../lib/distill/step-inputs.ts';
import type { AnsweringTeacher } from '../../lib/wire/answering-teacher.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { cacheRecipe } from '../../lib/wire/logits-recipe.ts';
import { viewsOf } from '../../lib/wire/teacher-views.ts';

export interface StoredAnswersOptions {
  readonly job: JobSpec;
  readonly dataset: Dataset;
  readonly teacher: AnsweringTeacher;
  readonly student: ColumnsRequest;
  /** In which the teacher would send its answers. */
  readonly format: LogitsFormat;
  /** Of all stored logits. */
  readonly folder: string;
  readonly logger: Logger;
}

export class StoredAnswers {
  readonly #options: StoredAnswersOptions;
  readonly #cache: CachedLogits;
  readonly #path: AnswerPath;

  /**
   * Null where the job stores nothing of this teacher.
   * @throws as `studentColumns` does
   */
  static async open(options: StoredAnswersOptions): Promise<StoredAnswers | null> {
    const { job, dataset, teacher, folder, logger } = options;
    const recipe = cacheRecipe(job, teacher, dataset);
    if (recipe === null) return null;
    return new StoredAnswers(options, await LogitsCache.open(folder, recipe, { writes: false, logger }));
  }

  private constructor(options: StoredAnswersOptions, cache: CachedLogits) {
    this.#options = options;
    this.#cache = cache;
    const { student, format } = options;
    const { classNames } = options.teacher;
    const columns = studentColumns(student, classNames);
    this.#path = { teacherClasses: classNames.length, stored: cache.format, columns, wire: format };
  }

  /** What the teacher would answer; where not all of it is stored, how many samples are. */
  find({ ids, partners, epoch }: LogitsRequest): TeacherLogits | number {
    const { job, format } = this.#options;
    const { name } = this.#options.teacher;
    const view = viewNumber(viewsOf(job, name), epoch);
    const { rows, missing } = this.#cache.lookup({ view, ids, partners });
    if (missing.length > 0) return ids.length - missing.length;
    const answer = answerFromStored(rows, ids.length, this.#path);
    return decodeRows(answer, ids.length, format, `stored logits of teacher "${name}"`);
  }

  close(): Promise<void> {
    return this.#cache.close();
  }
}
