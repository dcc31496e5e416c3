/** What set-up shows: one line per step when it is done, on a terminal a bar meanwhile. All on standard error. */
import { tilde } from './paths.mjs';

const LIVE_MS = 250;
/** Without a terminal a long step says every so often how far it is. */
const PLAIN_MS = 15_000;
/** Looking at a folder of many files takes a while of its own. */
const POLL_MS = 1000;
const BAR_WIDTH = 24;

/** 123456789 → '123 MB'. */
export function formatBytes(bytes) {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  if (bytes >= 1e6) return `${Math.round(bytes / 1e6)} MB`;
  return `${Math.ceil(bytes / 1e3)} kB`;
}

/** A share of 1 as `██████░░`, `width` characters. */
export function bar(share, width = BAR_WIDTH) {
  const full = Math.round(Math.min(Math.max(share, 0), 1) * width);
  return '█'.repeat(full) + '░'.repeat(width - full);
}

export class Progress {
  #stream;
  #live;
  #cache;
  #started = false;

  constructor(cache, stream = process.stderr) {
    this.#stream = stream;
    this.#live = stream.isTTY === true && process.env.TERM !== 'dumb';
    this.#cache = cache;
  }

  /** A line of its own. */
  say(text) {
    this.#header();
    this.#stream.write(`  ${text}\n`);
  }

  /**
   * Runs one step and shows it.
   *
   * @param {string} title
   * @param {(update: (doing: string, bytes?: number | (() => Promise<number>), total?: number) => void) => Promise<string>} work
   *   calls `update` with what it is doing and how far it is (a function is polled); resolves to a summary
   */
  async step(title, work) {
    this.#header();
    const startedMs = performance.now();
    const state = new StepState();
    if (!this.#live) this.#stream.write(`  ${title} …\n`);
    let ended = false;
    const show = async () => {
      const text = `${title}: ${await state.describe(this.#live)}, ${seconds(startedMs)}`;
      if (ended) return;
      this.#stream.write(this.#live ? `\r\x1b[2K  ${text.slice(0, (this.#stream.columns ?? 80) - 3)}` : `  ${text}\n`);
    };
    // A failed poll of a size is no reason to fail the step; the next one shows again.
    const timer = setInterval(() => show().catch(() => undefined), this.#live ? LIVE_MS : PLAIN_MS);
    try {
      const summary = await work((doing, bytes, total) => state.update(doing, bytes, total));
      ended = true;
      this.#clear();
      this.#stream.write(`  ${title}: ${summary}, ${seconds(startedMs)}\n`);
    } finally {
      ended = true;
      clearInterval(timer);
      this.#clear();
    }
  }

  #clear() {
    if (this.#live) this.#stream.write('\r\x1b[2K');
  }

  #header() {
    if (this.#started) return;
    this.#started = true;
    this.#stream.write(`stillhouse set-up (once; kept in ${tilde(this.#cache)})\n`);
  }
}

/** What a step is doing and how far it is. */
class StepState {
  #doing = '';
  #bytes;
  #total;
  #polled = { atMs: -Infinity, bytes: 0 };
  /** Where and when what it is doing began: the rate counts from there. */
  #from;

  update(doing, bytes, total) {
    if (doing !== this.#doing) this.#from = undefined;
    this.#doing = doing;
    this.#bytes = bytes;
    this.#total = total;
  }

  async describe(live) {
    const done = typeof this.#bytes === 'function' ? await this.#poll() : this.#bytes;
    if (done === undefined) return this.#doing || 'working';
    const total = this.#total;
    if (total === undefined) return `${this.#doing} ${formatBytes(done)}`;
    // A poll may see temporary copies too; more than everything would only confuse.
    const shown = Math.min(done, total);
    const percent = `${Math.floor((100 * shown) / total)} %`;
    const amount = `${formatBytes(shown)} of ${formatBytes(total)}`;
    if (!live) return `${this.#doing} ${amount} (${percent})`;
    return `${this.#doing} ${bar(shown / total)} ${percent}, ${amount}${this.#rate(shown)}`;
  }

  async #poll() {
    if (performance.now() - this.#polled.atMs < POLL_MS) return this.#polled.bytes;
    const bytes = await this.#bytes();
    this.#polled = { atMs: performance.now(), bytes };
    return bytes;
  }

  #rate(bytes) {
    const nowMs = typeof this.#bytes === 'function' ? this.#polled.atMs : performance.now();
    this.#from ??= { bytes, atMs: nowMs };
    const elapsedMs = nowMs - this.#from.atMs;
    return elapsedMs < POLL_MS ? '' : `, ${formatBytes((1000 * (bytes - this.#from.bytes)) / elapsedMs)}/s`;
  }
}

function seconds(startedMs) {
  return `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
}
