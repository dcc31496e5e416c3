/** Reads ava's TAP, counts, and shows it for people. In TAP mode ava keeps what tests print out of this stream. */

/**
 * @typedef {{passed: number, failed: number, skipped: number, finished: boolean, failures: string[]}} TapResult
 * `finished`: ava has come to its end and says so; `failures` are the failed tests as shown.
 */
export class TapReader {
  /** @type {TapResult} */
  result = { passed: 0, failed: 0, skipped: 0, finished: false, failures: [] };
  #show;
  #colours;
  #inFailure = false;
  /** The title of the todo that was read last, until it is certain to be one. */
  #todo;

  /**
   * @param {(line: string) => void} show
   * @param {{colours?: boolean}} [options]
   */
  constructor(show, { colours = false } = {}) {
    this.#show = show;
    this.#colours = colours;
  }

  /** @param {string} line without its line break */
  read(line) {
    const test = /^(not )?ok \d+(?: -(?: (.*))?)?$/.exec(line);
    if (test !== null) this.#readTest(test[1] === undefined, test[2] ?? '');
    else if (/^1\.\.\d+/.test(line)) this.#finish();
    else if (/^( {2}|$)/.test(line)) this.#readDetail(line);
    else if (line.startsWith('#') && !this.result.finished) this.#show(this.#paint(90, `    ${line.slice(1).trim()}`));
  }

  #readTest(isOk, text) {
    this.#inFailure = false;
    this.#todo = undefined;
    // ava marks a skipped test as ok and a todo as not ok, ends the line with the mark, and gives no reason.
    const mark = isOk ? ' # SKIP' : ' # TODO';
    if (text.endsWith(mark)) {
      const title = text.slice(0, -mark.length);
      if (!isOk) this.#todo = text;
      this.result.skipped += 1;
      this.#show(this.#paint(33, `  - ${title} (${isOk ? 'skip' : 'todo'})`));
    } else if (isOk) {
      this.result.passed += 1;
      this.#show(`  ${this.#paint(32, '✔')} ${text}`);
    } else this.#fail(text);
  }

  #fail(title) {
    this.result.failed += 1;
    this.#inFailure = true;
    this.result.failures.push(`  ✘ ${title}`);
    this.#show(`  ${this.#paint(31, '✘')} ${title}`);
  }

  /** The YAML below a failed test, without its two marks. */
  #readDetail(line) {
    if (this.#todo !== undefined && line === '  ---') {
      // Only a failure says why: this one's title ends like a todo's.
      this.result.skipped -= 1;
      this.#fail(this.#todo);
      this.#todo = undefined;
    }
    if (!this.#inFailure || line === '  ---' || line === '  ...') return;
    const shown = `    ${line}`;
    this.result.failures[this.result.failures.length - 1] += `\n${shown}`;
    this.#show(shown);
  }

  #finish() {
    this.#inFailure = false;
    this.result.finished = true;
  }

  #paint(code, text) {
    return this.#colours ? `\x1b[${code}m${text}\x1b[39m` : text;
  }
}
